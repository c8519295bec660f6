"""One request over the connection, and again where that may help, until the deadline."""

from collections.abc import Callable, Iterator
from typing import Any

from regard.serving.client.retry import Retry, worth_retrying
from regard.serving.client.steps import Infer, Pause, Step, Steps
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.wire import Answer, Fault, Request


def exchange(request: Request, retry: Retry, deadline: Deadline) -> Steps[Answer]:
    """Send a request; raises Fault."""
    answer: Answer = yield from attempts(lambda timeout: Infer(request, timeout), retry, deadline)
    return answer


def attempts(step: Callable[[float], Step], retry: Retry, deadline: Deadline) -> Steps[Any]:
    """Take a step, given the seconds that are left; raises the last attempt's Fault."""
    pauses: Iterator[float] = retry.pauses()
    lost: Fault | None = None
    while True:
        timeout = deadline.remaining()
        if timeout <= 0:
            raise lost or Fault("DEADLINE_EXCEEDED", f"no time left of {deadline.seconds:g} s")
        try:
            return (yield step(timeout))
        except Fault as fault:
            pause = next(pauses, None)
            if not worth_retrying(fault) or pause is None or pause >= deadline.remaining():
                raise
            lost = fault
        yield Pause(pause)
