"""Fixtures of the deployment's tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.serving.deploy.local_gateway import Edit, Gateway, running_gateway
from tests.serving.deploy.upstream import Upstream, upstream


@dataclass(frozen=True)
class Guarded:
    """A gateway before two servers that only tell what reached them."""

    gateway: Gateway
    a: Upstream
    b: Upstream

    @property
    def by_key(self) -> list[tuple[str, str]]:
        """A caller's header."""
        return [("x-api-key", self.gateway.api_key)]

    @property
    def by_operator(self) -> list[tuple[str, str]]:
        return [("x-api-key", self.gateway.operator_key)]


@contextmanager
def guard(folder: Path, *, edit: Edit = lambda text: text) -> Iterator[Guarded]:
    """Run all three; edit: see `running_gateway`."""
    (folder / "deployment" / "routing").mkdir(parents=True)
    with upstream() as a, upstream() as b:
        ports = {"a": a.ports, "b": b.ports}
        with running_gateway(ports, folder, deployment=folder / "deployment", edit=edit) as gateway:
            yield Guarded(gateway, a, b)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The gateway as it is."""
    with guard(tmp_path_factory.mktemp("guarded")) as running:
        yield running
