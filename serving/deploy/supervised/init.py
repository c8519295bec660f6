"""What the first process of a container owes the others: it takes in those whose parents have died, which
nobody else waits for, and passes on signals, which the kernel does not deliver to it by default.
"""

import os
import signal
from contextlib import suppress
from types import FrameType

from regard.serving.triton.interrupts import SIGNALS


def go_on_as_child() -> None:
    """Return in a child process. The present one stays behind it: it waits for every process that becomes its
    own, passes SIGNALS on, and ends as the child ends.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return

    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):  # it has just ended, and so does this
            os.kill(child, number)

    for number in SIGNALS:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
