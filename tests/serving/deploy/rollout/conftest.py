"""A deployment of one model, without Docker, for rollouts."""

import time
from collections.abc import Callable, Iterator

import pytest
from tests.serving.deploy.local_stack import LocalStack, local_stack
from tests.serving.deploy.rollout.models import version

from regard.export.artifact import Artifact
from regard.serving.deploy.rollout.gateway import Gateway
from regard.serving.deploy.rollout.history import Entry
from regard.serving.deploy.rollout.objectives import Objectives
from regard.serving.deploy.rollout.rollout import Place, roll_out
from regard.serving.deploy.rollout.settings import Settings, Teller
from regard.serving.deploy.rollout.snapshots import Addition
from regard.serving.protocol.address import address_of
from regard.serving.protocol.credentials import Credentials
from regard.serving.repository import add

MODEL, QUIET = "largest", Teller()
# latency is judged where a test is about it: other tests share the processors
QUICK = Objectives(seconds=1.0, requests=40, times=50.0)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Version 1, without a bias, on the colour a. Tests share it, and leave it with that version serving."""
    folder = tmp_path_factory.mktemp("stack")
    add(version(folder / "artifacts" / "first"), folder / "repository", instances=1)
    with local_stack(folder / "repository", folder) as running:
        yield running


@pytest.fixture
def place(stack: LocalStack) -> Iterator[Place]:
    credentials = Credentials(ca=stack.gateway.ca, api_key=stack.gateway.operator_key)
    with Gateway(address_of(stack.gateway.url), credentials) as gateway:
        yield Place(stack.deployment, stack.repository, gateway)


@pytest.fixture
def rolled_out(place: Place) -> Callable[..., Entry]:
    """`rolled_out(artifact, **settings)`: roll it out, tried but for a moment."""

    def run(artifact: Artifact, *, tell: Teller = QUIET, **settings: object) -> Entry:
        quick = {"objectives": QUICK, "mirror": 0.5, "watch": 0.5, "clients": 2}
        return roll_out(
            place,
            Addition(artifact=artifact, name=MODEL, instances=1),
            Settings(**(quick | settings)),  # type: ignore[arg-type]
            tell,
        )

    return run


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait until something holds."""

    def wait(holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.05)

    return wait
