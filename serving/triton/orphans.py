"""Shared memory of clients that ended without a farewell, as after a `kill -9`: the server keeps it open, and
its memory stays taken.
"""

import re
from contextlib import suppress
from pathlib import Path

from regard.serving.protocol.connection import Connection
from regard.serving.protocol.wire import Fault
from regard.serving.triton.residue import SHARED_MEMORY

TIMEOUT = 5.0  # seconds; what is not forgotten now is the next time
# as the client and the benchmark name them, by their process
_REGION = re.compile(r"regard_(client|bench)_(?P<pid>\d+)_[0-9a-f]+")


def forget_orphans(connection: Connection) -> None:
    """Let the server forget the regions of such clients, but for those that it has in use, and free them.

    Raises:
        Fault: the server does not answer.
    """
    for region in connection.regions(timeout=TIMEOUT):
        if _orphaned(region):
            with suppress(Fault):  # in use, as long as the request that the client left is computed
                connection.unregister(region, timeout=TIMEOUT)
    free_orphans()


def free_orphans() -> None:
    """Remove the files of such clients; what is still open stays usable."""
    for file in SHARED_MEMORY.glob("regard_*"):
        if _orphaned(file.name):
            with suppress(OSError):  # another user's
                file.unlink()


def _orphaned(region: str) -> bool:
    match = _REGION.fullmatch(region)
    if match is None:
        return False
    return not Path("/proc", match["pid"]).exists() or not (SHARED_MEMORY / region).exists()
