"""Fixtures of the protocol's tests."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from tests.serving.protocol.asking import Ask, ask_async, ask_sync
from tests.serving.protocol.gateway import Gateway, gateway_before


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address, secret or proxy of whoever runs the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REGARD_URL", "REGARD_API_KEY", "REGARD_TOKEN"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def gateway(served: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Envoy before `served`."""
    with gateway_before(served.http_url, served.grpc_url, tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """`ask(url, model, **options)`: a classification by each client."""
    chosen: Ask = request.param
    return chosen
