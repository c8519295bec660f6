"""The embedded Triton: its files, its shared memory and its ports."""

import shutil
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec

from regard.errors import ServerError
from regard.serving.doctor.finding import Finding, Status, not_installed, ok, refused
from regard.serving.triton.installation import (
    MIN_SHARED_MEMORY,
    PACKAGE,
    check_shared_memory,
    find_installation,
)
from regard.serving.triton.ports import held
from regard.serving.triton.residue import SHARED_MEMORY

PORTS = {"HTTP": 8000, "gRPC": 8001, "metrics": 8002}  # where it listens unless told otherwise
HOST = "127.0.0.1"


def embedded_triton() -> Iterator[Finding]:
    """Whether the server can run in this Python."""
    about = "embedded Triton"
    if not _wanted():
        yield not_installed(about, "`regard serve` does not run here", "server")
        return
    try:
        find_installation()
    except ServerError as error:
        yield refused(about, error)
    else:
        found = version(PACKAGE)
        yield ok(about, f"{PACKAGE} {found} runs in this Python", {"version": found})


def shared_memory() -> Iterator[Finding]:
    """Whether tensors can pass between the server and its models."""
    about = str(SHARED_MEMORY)
    status: Status = "problem" if _wanted() else "note"
    try:
        size = shutil.disk_usage(SHARED_MEMORY)
    except OSError as error:
        yield Finding(about, status, f"cannot be looked at: {error.strerror}", f"mount a tmpfs on {about}")
        return
    facts = {"size": size.total, "free": size.free, "needed": MIN_SHARED_MEMORY}
    try:
        check_shared_memory(0)
    except ServerError as error:
        yield refused(about, error, status=status, facts=facts)
    else:
        says = (
            f"{size.free >> 20} of {size.total >> 20} MiB free, at least {MIN_SHARED_MEMORY >> 20} are needed"
        )
        yield ok(about, says, facts)


def ports() -> Iterator[Finding]:
    """Which of the server's ports are free; one that is taken may be a server that is running."""
    taken = {}
    for service, port in PORTS.items():
        try:
            with held(HOST, {service: port}):
                pass
        except ServerError as error:
            taken[port] = error
    facts = {"free": [port for port in PORTS.values() if port not in taken], "taken": [*taken]}
    for port, fault in taken.items():
        yield refused(f"port {port}", fault, status="note", facts={"taken": True})
    if facts["free"]:
        yield ok("ports", f"{', '.join(map(str, facts['free']))} free on {HOST}", facts)


def _wanted() -> bool:
    return find_spec("pytriton") is not None
