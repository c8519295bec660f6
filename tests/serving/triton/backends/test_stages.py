"""The stages of requests that ask are told to the server, by a thread that ends; of others nothing is."""

import sys
import time
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from regard.serving.triton.backends.regard_image import stages
from regard.serving.triton.backends.regard_image.stages import PARAMETER, REQUESTS, SECONDS, Stages

ASKS, SILENT = '{"regard_stages":true}', "{}"


class Server:
    """What `pb_utils` is to a backend: it keeps counters, or keeps none."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, str | None], float] = {}
        self.keeps_metrics = True
        self.warnings: list[str] = []

    def family(self, name: str, description: str, kind: str) -> Any:
        if not self.keeps_metrics:
            raise TritonModelException("metrics are off")

        def metric(labels: dict[str, str]) -> Any:
            assert (labels["model"], labels["version"]) == ("m_image", "1")
            key = (name, labels.get("stage"))
            self.counters.setdefault(key, 0.0)
            return SimpleNamespace(increment=lambda value: self.add(key, value))

        return SimpleNamespace(Metric=metric)

    def add(self, key: tuple[str, str | None], value: float) -> None:
        self.counters[key] += value


class TritonModelException(Exception):
    """As `pb_utils` has one."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    family: Any = lambda **options: found.family(**options)  # noqa: E731
    family.COUNTER = "counter"
    module = ModuleType("triton_python_backend_utils")
    module.__dict__.update(
        MetricFamily=family,
        TritonModelException=TritonModelException,
        Logger=SimpleNamespace(log_warn=found.warnings.append),
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", module)
    monkeypatch.setattr(stages, "DELAY", 0.01)
    return found


@pytest.fixture
def counted(server: Server) -> Iterator[Stages]:
    found = Stages(model="m_image", version="1")
    yield found
    found.close()


def requests(*parameters: str) -> list[Any]:
    return [SimpleNamespace(parameters=lambda text=text: text) for text in parameters]


def until_told(counted: Stages) -> None:
    deadline = time.monotonic() + 60
    while counted.thread is not None:
        assert time.monotonic() < deadline, "the thread did not end"
        time.sleep(0.005)


def test_the_name_that_is_asked_by() -> None:
    assert PARAMETER in ASKS


def test_who_does_not_ask_is_not_told_of(server: Server, counted: Stages) -> None:
    with counted.counted(requests(SILENT, SILENT)):
        counted.add(1.0, 1.0)
    assert counted.thread is None
    assert server.counters == {}


def test_each_request_counts_the_whole_batch(server: Server, counted: Stages) -> None:
    for _ in range(2):
        with counted.counted(requests(ASKS, SILENT, ASKS)):
            for _ in range(3):
                time.sleep(0.002)
                counted.add(0.0005, 0.00025)
    until_told(counted)
    assert server.counters[REQUESTS, None] == 4
    assert server.counters[SECONDS, "decode"] == pytest.approx(4 * 0.0015)
    assert server.counters[SECONDS, "fit"] == pytest.approx(4 * 0.00075)
    assert server.counters[SECONDS, "infer"] > 4 * (0.006 - 0.0015 - 0.00075)


def test_the_thread_begins_again(server: Server, counted: Stages) -> None:
    for number in (1, 2):
        with counted.counted(requests(ASKS)):
            pass
        until_told(counted)
        assert server.counters[REQUESTS, None] == number


def test_a_batch_does_not_count_the_last_one(server: Server, counted: Stages) -> None:
    with counted.counted(requests(SILENT)):
        counted.add(1.0, 1.0)
    with counted.counted(requests(ASKS)):
        pass
    until_told(counted)
    assert server.counters[SECONDS, "decode"] == 0


def test_a_server_without_metrics(server: Server, counted: Stages) -> None:
    server.keeps_metrics = False
    with counted.counted(requests(ASKS)):
        pass
    until_told(counted)
    assert server.counters == {}
    assert server.warnings == ["no stages of model 'm_image' are counted: metrics are off"]
