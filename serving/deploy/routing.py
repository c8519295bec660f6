"""How the gateway divides requests between the two colours: Envoy's runtime, one number in each file.

<deployment>/routing/current    a link to routing/<n>/; another takes its place in one step, and Envoy, which
                                watches the folder, takes it up without a restart
<deployment>/routing/<n>/       the newest ones, rising; the files are named by routing_keys.py
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from regard.contract.whole_folder import whole_folder
from regard.errors import InvalidInput
from regard.serving.deploy.colours import COLOURS, folder_of, read_colours
from regard.serving.deploy.numbered import numbers_in, point
from regard.serving.deploy.routing_keys import mirror_file, weight_files

ROUTING, CURRENT = "routing", "current"
KEPT = 8  # more than one rollout writes


def other(colour: str) -> str:
    """The colour that is not this one."""
    return COLOURS[1 - COLOURS.index(colour)]


@dataclass(frozen=True)
class Routing:
    """Who gets the requests.

    main: the colour that serves.
    canary: percent of the requests that the other one answers instead, below 50.
    mirror: percent of the requests that the other one is sent as well; its answers are dropped.
    """

    main: str = COLOURS[0]
    canary: int = 0
    mirror: int = 0

    @property
    def weights(self) -> dict[str, int]:
        """Percent of the answers, by colour."""
        return {self.main: 100 - self.canary, other(self.main): self.canary}


def read_routing(deployment: Path) -> Routing:
    """What the files say; without them the first colour serves.

    Raises:
        InvalidInput: they say something else than a Routing can.
    """
    folder = deployment / ROUTING / CURRENT
    if not folder.exists():
        return Routing()
    weights = {colour: _percent(folder / weight_files(colour)[0]) for colour in COLOURS}
    main = max(COLOURS, key=lambda colour: (weights[colour], colour == COLOURS[0]))
    routing = Routing(main, weights[other(main)], _percent(folder / mirror_file(other(main))))
    if _read(folder) != _files(routing):
        raise InvalidInput(f"the files in {folder} contradict each other; write the weights again")
    return routing


def served_repository(deployment: Path, repository: Path) -> Path:
    """The model repository of the colour that has most of the requests.

    repository: what the source "repository" means.

    Raises:
        InvalidInput: that colour is idle, or a file of the deployment cannot be read.
    """
    main = read_routing(deployment).main
    source = read_colours(deployment)[main]
    if source is None:
        raise InvalidInput(f"the colour {main} has the requests and serves nothing; see: regard deploy")
    return folder_of(source, deployment=deployment, repository=repository)


def write_routing(deployment: Path, routing: Routing) -> None:
    """Let the gateway divide the requests like this from now on. What was written before is not written
    again, so that the way back needs no room on the disk.

    Raises:
        InvalidInput, ExportError: it cannot be written; the gateway goes on as before.
    """
    place, wanted = deployment / ROUTING, _files(routing)
    folders = [place / str(number) for number in numbers_in(place)]
    folder = next((each for each in folders if _read(each) == wanted), None)
    if folder is None:
        folder = place / str(max(numbers_in(place), default=0) + 1)
        with whole_folder(folder, files=frozenset()) as draft:
            for file, percent in wanted.items():
                (draft / file).parent.mkdir(exist_ok=True)
                (draft / file).write_text(f"{percent}\n", encoding="ascii")
    point(place / CURRENT, folder)
    for old in folders[:-KEPT]:
        if old != folder and _read(old) not in WAYS_BACK:
            shutil.rmtree(old, ignore_errors=True)


def _files(routing: Routing) -> dict[str, int]:
    """What each file holds."""
    mirrors = {routing.main: 0, other(routing.main): routing.mirror}
    files = {mirror_file(colour): percent for colour, percent in mirrors.items()}
    for colour, percent in routing.weights.items():
        files |= dict.fromkeys(weight_files(colour), percent)
    return files


WAYS_BACK = [_files(Routing(colour)) for colour in COLOURS]


def _read(folder: Path) -> dict[str, int] | None:
    """What each file holds; None where one is missing or holds something else."""
    try:
        return {file: _percent(folder / file) for file in _files(Routing())}
    except InvalidInput:
        return None


def _percent(file: Path) -> int:
    try:
        percent = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read {file}, a percentage of the requests: {error}") from None
    if not 0 <= percent <= 100:
        raise InvalidInput(f"{file} says {percent}, and a percentage lies between 0 and 100")
    return percent
