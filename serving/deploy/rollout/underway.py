"""A rollout that is under way, as a file: who died in the middle of one is cleaned up after by the next.

<deployment>/rollout.json       there from before the first change until the last
<deployment>/.snapshots.lock    held by who rolls out, and let go of by the system when that ends
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from regard.contract.whole_file import write_text
from regard.errors import InvalidInput
from regard.serving.deploy.rollout.snapshots import SNAPSHOTS
from regard.serving.repository.lock import changing

UNDERWAY_FILE = "rollout.json"


@dataclass(frozen=True, kw_only=True)
class Underway:
    """What is being rolled out.

    Attributes:
        main: the colour that serves.
        colour: the other one, which gets `source` in place of `before`.
        model, version, before_version: what is new, and the version that serves; None of a new model.
        endpoint: one that the model is asked by.
        promoted: all requests have gone to `colour` since.
    """

    main: str
    colour: str
    source: str
    before: str | None
    model: str
    version: int
    before_version: int | None
    endpoint: str
    promoted: bool = False


@contextmanager
def alone(deployment: Path) -> Iterator[None]:
    """Hold the deployment alone.

    Raises:
        InvalidInput: another process changes it now, or its folder cannot be written.
    """

    def refuse(message: str) -> None:
        raise InvalidInput(
            f"another rollout of {deployment} is under way; wait for its end, or interrupt it: it takes back "
            "what it did"
        )

    if not deployment.is_dir():
        raise InvalidInput(f"{deployment} is no folder of a deployment; name the one that the servers read")
    with changing(deployment / SNAPSHOTS, refuse):
        yield


def note_underway(deployment: Path, underway: Underway) -> None:
    """Write down what is about to be done.

    Raises:
        InvalidInput: it cannot be written.
    """
    write_text(deployment / UNDERWAY_FILE, json.dumps(asdict(underway)) + "\n")


def note_promoted(deployment: Path, underway: Underway) -> None:
    """Write down that all requests go to the new version, so that nobody takes it back for unfinished."""
    note_underway(deployment, replace(underway, promoted=True))


def forget_underway(deployment: Path) -> None:
    """Nothing is under way any more."""
    (deployment / UNDERWAY_FILE).unlink(missing_ok=True)


def read_underway(deployment: Path) -> Underway | None:
    """What is under way, or was when its process died; None where nothing is.

    Raises:
        InvalidInput: the file cannot be read.
    """
    file = deployment / UNDERWAY_FILE
    try:
        return Underway(**json.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InvalidInput(
            f"cannot read {file}, what is being rolled out: {error}; see which colour serves and delete it"
        ) from None
