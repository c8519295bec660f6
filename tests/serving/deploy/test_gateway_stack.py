"""The whole of it without Docker: our clients, the gateway, and a real Triton as each colour."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.serving.conftest import CLASSIFIER, Exported, photo
from tests.serving.deploy.local_gateway import running_gateway
from tests.serving.deploy.local_stack import LocalStack, local_stack

from regard import Client
from regard.errors import RegardError
from regard.serving.deploy.colours import write_colours
from regard.serving.deploy.routing import Routing, write_routing
from regard.serving.repository import add

SWITCHES = 12


@pytest.fixture(scope="module")
def stack(classifier: Exported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("stack")
    add(classifier.artifact, folder / "repository", batching=True)
    (folder / "deployment").mkdir()
    write_colours(folder / "deployment", {"a": "repository", "b": "repository"})
    with local_stack(folder / "repository", folder) as running:
        yield running


def test_our_client_is_answered_by_key_and_by_token(stack: LocalStack) -> None:
    gateway = stack.gateway
    images = [photo(seed) for seed in range(3)]
    with Client(f"grpc://127.0.0.1:{stack.ports['a'].grpc}") as direct:
        expected = direct.classify(CLASSIFIER, images)
    for url in (gateway.url, gateway.grpc_url):
        by_key = Client(url, ca=gateway.ca, api_key=gateway.api_key)
        by_token = Client(url, ca=gateway.ca, token=gateway.token("alice"))
        with by_key, by_token:
            for client in (by_key, by_token):
                assert client.classify(CLASSIFIER, images) == expected
                assert client.ready()
        with Client(url, ca=gateway.ca) as nobody, pytest.raises(RegardError, match="x-api-key"):
            nobody.classify(CLASSIFIER, images)


def test_the_same_routes_without_keys_for_development(stack: LocalStack, tmp_path: Path) -> None:
    with running_gateway(stack.ports, tmp_path, deployment=stack.deployment, dev=True) as plain:
        for scheme in ("http", "grpc"):
            with Client(f"{scheme}://127.0.0.1:{plain.port}") as client:
                assert len(client.classify(CLASSIFIER, [photo(0)])) == 1
        with pytest.raises(RegardError):
            Client(f"https://localhost:{plain.port}", ca=plain.ca).classify(CLASSIFIER, [photo(0)])


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_switch_under_load_loses_nothing(scheme: str, stack: LocalStack) -> None:
    gateway = stack.gateway
    url = gateway.url if scheme == "http" else gateway.grpc_url
    over = threading.Event()

    def ask_on() -> int:
        answered = 0
        with Client(url, ca=gateway.ca, api_key=gateway.api_key) as client:
            first = client.classify(CLASSIFIER, [photo(0)])[0]
            while not over.is_set():
                again = client.classify(CLASSIFIER, [photo(0)])[0]
                assert (again.label, again.probability) == (first.label, pytest.approx(first.probability))
                answered += 1
        return answered

    logged = len(gateway.requests())
    before = {colour: stack.status(colour)["requests"][CLASSIFIER] for colour in "ab"}
    with ThreadPoolExecutor(3) as pool:
        callers = [pool.submit(ask_on) for _ in range(3)]
        for number in range(SWITCHES):
            routing = (Routing("a"), Routing("b"), Routing("a", canary=30))[number % 3]
            write_routing(stack.deployment, routing)
            over.wait(0.1)
        over.set()
        counts = [caller.result() for caller in callers]
    write_routing(stack.deployment, Routing("a"))
    assert min(counts) > 0
    threading.Event().wait(0.3)  # until the log is written
    refused = [line for line in gateway.requests()[logged:] if (line["status"], line["flags"]) != (200, "-")]
    assert not refused, "the client would have tried again"
    assert len(gateway.requests()) - logged >= sum(counts)
    for colour in "ab":
        assert stack.status(colour)["requests"][CLASSIFIER] > before[colour], "both had their share"
