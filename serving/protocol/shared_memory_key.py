"""The key that the embedded server asks for before it opens shared memory: in a file that its own user alone
can read.

The file lies in /dev/shm, so that whoever finds it sees the memory that the server sees, and is named by the
server's run and port. Each run has another key, so it is read anew for each region; where there is none, as
with other servers, nothing is shown.
"""

import os
import stat
from pathlib import Path

from regard.serving.protocol.address import Address

HEADER = "regard-shared-memory"
FOLDER = Path("/dev/shm")  # noqa: S108 - what client and server share


def write_key(key: str, port: int, *, prefix: str) -> None:
    """Leave the key for this user's clients. prefix: of the run's files in FOLDER, `regard_*_`."""
    new = os.open(FOLDER / f"{prefix}{port}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600)
    with os.fdopen(new, "w", encoding="ascii") as stream:
        stream.write(key)


def key_for(address: Address) -> str | None:
    """The key of the server that was started last at an address of this machine."""
    if not address.is_loopback:
        return None
    found = [text for file in FOLDER.glob(f"regard_*_{address.port}.key") if (text := _read(file))]
    return max(found)[1] if found else None


def _read(file: Path) -> tuple[int, str] | None:
    """When it was written (ns), and the key; None where another may have written it."""
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(opened, encoding="ascii") as stream:
            facts = os.fstat(stream.fileno())
            own = facts.st_uid == os.geteuid() and not facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
            key = stream.read(256) if own and stat.S_ISREG(facts.st_mode) else ""
    except (OSError, ValueError):
        return None
    return (facts.st_mtime_ns, key) if key.isalnum() else None
