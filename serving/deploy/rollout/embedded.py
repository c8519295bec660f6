"""The same on the embedded server, which has one process for all versions: no second colour and no canary. A
version is added to the repository that it watches, by explicit model control the server loads it beside the
old one and judges it, and what does not prove itself is taken back.
"""

import time
from collections.abc import Callable
from pathlib import Path

from regard.errors import InvalidInput
from regard.serving.deploy.rollout.settings import Refused, Teller
from regard.serving.deploy.rollout.snapshots import Addition, add_version
from regard.serving.protocol.connection import Connection
from regard.serving.repository import Added, remove
from regard.serving.repository.layout import endpoints_in
from regard.serving.repository.listing import find
from regard.serving.triton.served_now import ServedNow, told
from regard.serving.verify.served import fault_of

LOOK = 0.3  # seconds between looks at what the server says


def deploy_embedded(
    repository: Path, connection: Connection, addition: Addition, tell: Teller, *, start: float
) -> Added:
    """Add a version, and take it back where the server does not take it or it fails its goldens.

    Args:
        repository: that a server on this machine watches.
        connection: to that server.
        addition: the new version.
        tell: told each step.
        start: seconds that the server may take to load it.

    Raises:
        InvalidInput: no server watches the repository, or as of `add`; nothing was changed.
        Refused: it was taken back; what served before serves on.
    """
    now = _watching(repository)
    refused = [name for name in endpoints_in(repository, addition.name) if name in now.refused]
    if refused:
        raise InvalidInput(
            f"the server refuses what lies there of {refused[0]} already: {now.refused[refused[0]]}; remove "
            "that version first"
        )
    added = add_version(repository, addition)
    tell.step(f"added {added.name} version {added.version} to {repository}")
    try:
        _wait(repository, added, tell, start)
        tell.step("the server has loaded it, and it answers its goldens there")
        for endpoint in added.endpoints:
            if (fault := fault_of(connection, repository, endpoint, [added.version])) is not None:
                raise Refused(f"{endpoint}: {fault}")
    except BaseException as error:
        _take_back(repository, added)
        if isinstance(error, Refused):
            raise Refused(
                f"{added.name} version {added.version} is not taken: {error}. What was served before serves "
                "on"
            ) from None
        raise
    tell.step(f"{added.name} version {added.version} serves, by its goldens from here as well")
    return added


def roll_back_embedded(repository: Path, name: str, tell: Teller, *, start: float) -> int:
    """Remove the newest version again, and wait until the server answers by the one before; its number.

    Raises:
        InvalidInput: no server watches the repository, or the version is the only one.
        UnknownName: no such model.
        Refused: the server does not go back in time.
    """
    _watching(repository)
    *before, newest = find(repository, name).versions
    if not before:
        raise InvalidInput(f"{newest} is the only version of {name}, so that there is nothing to go back to")
    remove(repository, name, version=newest)
    tell.step(f"removed {name} version {newest} from {repository}")
    home = endpoints_in(repository, name)[-1]
    _wait_until(
        repository,
        lambda now: newest not in now.served.get(home, ()),
        f"the server still serves {name} version {newest}",
        tell,
        start,
    )
    tell.step(f"{name} version {before[-1]} serves again")
    return before[-1]


def _watching(repository: Path) -> ServedNow:
    now = told(repository)
    if now is None or not now.watches:
        what = "no server of this machine runs on" if now is None else "the server does not watch"
        raise InvalidInput(f"{what} {repository}; let `regard serve` watch it")
    return now


def _wait(repository: Path, added: Added, tell: Teller, start: float) -> None:
    """Until the server has judged the version at each endpoint."""

    def judged(now: ServedNow) -> bool:
        for name in added.endpoints:
            if name in now.refused:
                raise Refused(f"the server refuses {name}: {now.refused[name]}")
        return all(added.version in now.served.get(name, ()) for name in added.endpoints)

    _wait_until(repository, judged, "the server has not loaded it", tell, start)


def _wait_until(
    repository: Path, happened: Callable[[ServedNow], bool], else_: str, tell: Teller, limit: float
) -> None:
    begin = time.monotonic()
    while True:
        now = told(repository)
        if now is None:
            raise Refused(f"the server on {repository} has ended")
        if happened(now):
            return
        waited = time.monotonic() - begin
        if waited > limit:
            raise Refused(f"{else_} after {limit:g} s")
        tell.progress("waiting for the server", waited / limit)
        time.sleep(LOOK)


def _take_back(repository: Path, added: Added) -> None:
    alone = len(find(repository, added.name).versions) == 1
    remove(repository, added.name, version=None if alone else added.version)
