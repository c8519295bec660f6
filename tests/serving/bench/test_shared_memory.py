"""A server lets go of a request's memory some time after it has answered; then the region is unregistered."""

import pytest

from regard.serving.bench import target
from regard.serving.bench.target import _unregister
from regard.serving.protocol.wire import Fault

IN_USE = Fault("INTERNAL", "Cannot unregister shared memory region 'x', it is currently in use.")


class Registry:
    """As much of a connection as unregistering takes, with a region "x"."""

    def __init__(self, *refusals: Fault) -> None:
        self.refusals = [*refusals]
        self.registered = {"x"}

    def unregister(self, region: str, *, timeout: float) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.registered.remove(region)


def test_a_region_in_use_is_unregistered_when_it_no_longer_is() -> None:
    registry = Registry(*[IN_USE] * 3)
    _unregister(registry, "x")  # type: ignore[arg-type]
    assert not registry.registered


def test_another_refusal_is_an_error_at_once() -> None:
    registry = Registry(Fault("INVALID_ARGUMENT", "unknown region"), IN_USE)
    with pytest.raises(Fault, match="unknown region"):
        _unregister(registry, "x")  # type: ignore[arg-type]
    assert registry.refusals == [IN_USE]


def test_a_region_that_stays_in_use_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "RELEASE", 0.0)
    registry = Registry(*[IN_USE] * 3)
    with pytest.raises(Fault, match="currently in use"):
        _unregister(registry, "x")  # type: ignore[arg-type]
    assert len(registry.refusals) >= 1
