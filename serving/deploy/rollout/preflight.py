"""Whether there is room for both colours, before anything is changed."""

import shutil
from pathlib import Path

from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.deploy.rollout.snapshots import bytes_to_copy
from regard.serving.deploy.supervised.status import Status
from regard.serving.machine.memory import MEMINFO, memory
from regard.serving.repository.listing import listing

SPARE = 64 << 20  # bytes of the disk that are left to others


def check_memory(active: Status, idle: Status, artifact: Artifact, *, meminfo: Path = MEMINFO) -> None:
    """Refuse to start a second server where there is no memory for it: it takes what the serving one takes,
    and the new graph; what the idle colour takes still is given back first.

    Raises:
        InvalidInput: there is too little.
    """
    found = memory(meminfo)
    if found is None:
        return  # the kernel does not tell
    needed = active.memory_bytes + artifact.model.stat().st_size
    room = found.available + idle.memory_bytes
    if needed > room:
        raise InvalidInput(
            f"a second server takes about {needed / 1e9:.2f} GB, as much as the one that serves and the new "
            f"graph, and this machine has {room / 1e9:.2f} GB to give; free some memory first"
        )


def check_stateless(served: Path, artifact: Artifact) -> None:
    """Refuse where a model keeps a state, the new one or any that is served: a rollout moves the requests of
    all. The other server knows nothing of a session, or worse: what it had copies of, with gaps.

    served: the repository, or the snapshot, that the requests go to.

    Raises:
        InvalidInput: one does.
    """
    cards = [artifact.card, *(entry.card for entry in listing(served) if entry.card is not None)]
    names = sorted({card.name for card in cards if card.state is not None})
    if names:
        raise InvalidInput(
            f"{', '.join(names)} answers in sessions, and a rollout moves requests to another server, where "
            "no session can go on; serve it apart from what is rolled out, and add its versions with: regard "
            "repo add"
        )


def check_disk(deployment: Path, repository: Path, source: str, artifact: Artifact) -> None:
    """Refuse to take a snapshot for which the disk has no room.

    Raises:
        InvalidInput: it has none.
    """
    new = sum(path.stat().st_size for path in _files(artifact))
    needed = bytes_to_copy(deployment, repository, source) + new + SPARE
    free = shutil.disk_usage(deployment).free
    if needed > free:
        raise InvalidInput(
            f"a snapshot takes about {needed / 1e6:.0f} MB, and the disk of {deployment} has "
            f"{free / 1e6:.0f} MB left; free some space first"
        )


def _files(artifact: Artifact) -> list[Path]:
    """What is copied of an artifact, or of a variant; other variants of it are not."""
    own = [path for path in artifact.folder.iterdir() if path.is_file()]
    return own if artifact.model.parent == artifact.folder else [*own, artifact.model]
