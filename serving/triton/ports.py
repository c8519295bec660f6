"""TCP ports: free ones, and who holds a taken one."""

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from regard.errors import ServerError

LISTEN = "0A"  # the state's number in /proc/net/tcp


def free_ports(count: int, *, host: str = "127.0.0.1") -> list[int]:
    """Different ports that were free a moment ago."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((host, 0))
        return [int(each.getsockname()[1]) for each in sockets]


@contextmanager
def held(host: str, ports: Mapping[str, int]) -> Iterator[None]:
    """Keep ports for servers that are about to listen on them, as those can that set SO_REUSEADDR:
    nobody else is given them by chance meanwhile. `ports` maps a service's name to its number.

    Raises:
        ServerError: a port is taken (by whom, where that can be known), named twice or not ours to use.
    """
    if len(set(ports.values())) < len(ports):
        raise ServerError(
            "each service needs a port of its own, got "
            f"{', '.join(f'{port} for {service}' for service, port in ports.items())}"
        )
    with ExitStack() as sockets:
        for service, port in ports.items():
            each = sockets.enter_context(socket.socket())
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                each.bind((host, port))
            except OSError as error:
                holder = _holder(port)
                taken = (
                    f"port {port} on {host} is taken by {holder}; stop it or"
                    if holder
                    else f"cannot listen on {host}:{port} ({error.strerror});"
                )
                raise ServerError(f"{taken} choose another port for {service}") from None
            except OverflowError:
                raise ServerError(f"a port is a number from 1 to 65535, got {port} for {service}") from None
        yield


def _holder(port: int) -> str | None:
    """The listening process as "name (pid 1)"; None where the kernel does not tell."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _lines(Path(table))[1:]:
            fields = line.split()
            if int(fields[1].rsplit(":", 1)[1], 16) == port and fields[3] == LISTEN:
                inodes.add(fields[9])
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _sockets(process) & inodes:
            return f"{_lines(process / 'comm')[0]} (pid {process.name})"
    return None


def _sockets(process: Path) -> set[str]:
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            match = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
            if match:
                found.add(match[1])
    except OSError:
        return found  # ended, or another user's
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines() or [""]
    except OSError:
        return [""]
