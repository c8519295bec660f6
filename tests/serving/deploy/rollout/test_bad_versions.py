"""Planted bad versions: none takes a request from the good one, and none is lost."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.serving.deploy.local_stack import LocalStack
from tests.serving.deploy.rollout.models import crashing, of_weights, slow, version
from tests.serving.deploy.rollout.traffic import traffic

from regard.export.artifact import Artifact
from regard.serving.deploy.colours import read_colours
from regard.serving.deploy.rollout import comparing
from regard.serving.deploy.rollout.compare import Comparison, compare
from regard.serving.deploy.rollout.history import Entry, read_history
from regard.serving.deploy.rollout.objectives import Objectives
from regard.serving.deploy.rollout.rollout import Place
from regard.serving.deploy.rollout.settings import Refused
from regard.serving.deploy.routing import Routing, read_routing

pytestmark = pytest.mark.slow  # each starts a server, and one more to go back


@contextmanager
def refused(stack: LocalStack, place: Place, *, why: str) -> Iterator[None]:
    """What the block rolls out is refused, for this reason; all requests are answered by the good version."""
    with traffic(stack.gateway, (0,)) as seen, pytest.raises(Refused, match=why) as error:
        yield
    assert str(error.value).endswith("a serves as before")
    assert not seen.lost
    assert seen.biases(0) == {0}
    assert read_routing(place.folder) == Routing("a")
    assert read_colours(place.folder) == {"a": "repository", "b": None}


def test_one_that_answers_otherwise_than_its_proof_promises(
    stack: LocalStack, place: Place, rolled_out: Callable[..., Entry], tmp_path: Path
) -> None:
    """It answers its own goldens; but it is of the same weights, by the certificates of both."""
    why = "its agreement with the old version is 0.00%, at least 100.00% passes"
    with refused(stack, place, why=why):
        rolled_out(version(tmp_path / "wrong", bias=1))
    last = read_history(place.folder)[-1]
    assert (last.event, last.version, last.tried) == ("refused", 1, 2)
    assert not (place.folder / "rollout.json").exists()


def test_one_of_other_weights_that_hardly_ever_says_the_same(
    stack: LocalStack, place: Place, rolled_out: Callable[..., Entry], tmp_path: Path
) -> None:
    with refused(
        stack, place, why="at least 50.00% passes; where it is meant to answer otherwise, ask for less"
    ):
        rolled_out(version(tmp_path / "other", bias=1, weights="6" * 64))


def test_one_that_crashes_at_load(
    stack: LocalStack, place: Place, rolled_out: Callable[..., Entry], tmp_path: Path
) -> None:
    with refused(stack, place, why="its process ended while it was loaded"):
        rolled_out(crashing(tmp_path / "crashing"))


def test_one_that_is_too_slow(
    stack: LocalStack, place: Place, rolled_out: Callable[..., Entry], tmp_path: Path
) -> None:
    """Given up as soon as that is plain: by its latency, or because it cannot keep up with the live requests
    that it gets copies of.
    """
    objectives = Objectives(seconds=120, requests=1000, times=3.0)
    with refused(stack, place, why=r"its p95 is .* at most 3 times as long passes|requests failed"):
        rolled_out(slow(tmp_path / "slow"), objectives=objectives)


def test_one_that_leaks(
    stack: LocalStack,
    place: Place,
    rolled_out: Callable[..., Entry],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The leak is simulated: to what the colour says of its memory 5 kB are added for each request."""

    def leaking(*args: object, look: Callable[[], tuple[int, int]], **options: object) -> Comparison:
        def more() -> tuple[int, int]:
            requests, memory = look()
            return requests, memory + 5000 * requests

        return compare(*args, look=more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(comparing, "compare", leaking)
    objectives = Objectives(seconds=2, requests=1000, times=50.0)
    with refused(stack, place, why=r"its memory grows by .* MB in 1000 requests, at most 1 MB passes"):
        rolled_out(version(tmp_path / "leaking"), objectives=objectives)


def test_one_that_does_not_answer_its_own_goldens(
    stack: LocalStack, place: Place, rolled_out: Callable[..., Entry], tmp_path: Path
) -> None:
    """Its graph and its proof agree; the goldens beside them are another's."""
    artifact, other = version(tmp_path / "one"), version(tmp_path / "other", bias=1)
    with refused(stack, place, why="does not answer its goldens as it was exported"):
        rolled_out(_with_goldens_of(artifact, other))


def _with_goldens_of(artifact: Artifact, other: Artifact) -> Artifact:
    shutil.rmtree(artifact.folder / "goldens")
    shutil.copytree(other.folder / "goldens", artifact.folder / "goldens")
    return of_weights(artifact)
