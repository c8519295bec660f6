"""One stack for all tests of this folder, brought up once: `make test-stack`. Leave it as you found it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.stack.compose import ROOT, Stack, clone, settings
from tests.stack.engine import Engine, EngineError, Network, cache, engine
from tests.stack.gateway import GatewayKeys
from tests.stack.images import build
from tests.stack.models import BROKEN, fill
from tests.stack.waiting import until

from regard import Client
from regard.export.artifact import Artifact
from regard.serving.repository import remove

STACK = pytest.StashKey[Stack]()


@pytest.fixture(scope="session")
def own_engine() -> Iterator[Engine]:
    """An engine that has the stack's images; the tests are in its network."""
    with engine(cache(), Network.HOST) as builder:
        stack = Stack(builder, ROOT, settings(ROOT))
        build(builder, stack.images())
    with engine(cache(), Network.OWN) as found, found.network():
        yield found


@pytest.fixture(scope="session")
def cloned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone's files, with models in its repository."""
    return clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def garments(cloned: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The trained model that the stack serves, beside others."""
    return fill(cloned / "model_repository", tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="session")
def stack(
    own_engine: Engine, cloned: Path, garments: Artifact, pytestconfig: pytest.Config
) -> Iterator[Stack]:
    """The stack, brought up by `regard up`."""
    found = Stack(own_engine, cloned, settings(cloned))
    try:
        try:
            found.regard("up")
        except EngineError as error:
            pytest.fail(f"{error}\n{found.state()}")
        pytestconfig.stash[STACK] = found
        yield found
    finally:
        found.compose("--profile", "*", "down", "--volumes", check=False)


@pytest.fixture(scope="session")
def keys(stack: Stack) -> GatewayKeys:
    """What its callers show and trust."""
    return GatewayKeys(stack.folder / "deployment" / "client")


@pytest.fixture(scope="session")
def whole(stack: Stack, keys: GatewayKeys) -> Stack:
    """The stack, from here on without the broken model: after test_broken_model.py."""
    repository = stack.folder / "model_repository"
    if (repository / BROKEN).exists():
        remove(repository, BROKEN)
    until(lambda: BROKEN not in keys.status("a")["models"], what=lambda: f"a serves {keys.status('a')}")
    return stack


@pytest.fixture(scope="session")
def clients(keys: GatewayKeys) -> Iterator[Mapping[str, Client]]:
    """Callers with a key, by protocol."""
    urls = {"http": "https://localhost:8443", "grpc": "grpcs://localhost:8443"}
    with ExitStack() as opened:
        yield {
            protocol: opened.enter_context(Client(url, api_key=keys.client, ca=keys.ca, timeout=60))
            for protocol, url in urls.items()
        }


@pytest.fixture(params=["http", "grpc"])
def client(clients: Mapping[str, Client], request: pytest.FixtureRequest) -> Client:
    """A caller with a key; a test that takes it runs by each protocol."""
    return clients[request.param]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failure tells what the containers said."""
    report = yield
    if report.failed and STACK in item.config.stash:
        report.sections.append(("containers", item.config.stash[STACK].state()))
    return report
