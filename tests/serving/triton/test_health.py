"""What is seen of a server, and what of that is a fault; the real ones are in test_supervisor.py."""

import pytest

from regard.serving.protocol.wire import Fault
from regard.serving.triton import health
from regard.serving.triton.canary import Canaries, Findings
from regard.serving.triton.health import HealthCheck, Observation


class Server:
    """As much of a server as a look takes in."""

    connection = object()
    alive = True

    def __init__(self) -> None:
        self.dead: list[int] = []

    def dead_stubs(self) -> dict[int, str]:
        return dict.fromkeys(self.dead, "m")


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Where canaries were sent to; every model is healthy."""
    sent: list[object] = []

    def send(self: Canaries, connection: object) -> Findings:
        sent.append(connection)
        return Findings()

    monkeypatch.setattr(Canaries, "send", send)
    return sent


def check(server: Server, *, canary: float) -> HealthCheck:
    return HealthCheck(server, canary=canary)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("observation", "fault"),
    [
        (Observation(running=True), None),
        (Observation(running=False), "the server has ended"),
        (Observation(running=False, ending="was killed"), "the server was killed"),
        (Observation(running=True, died={9: "m", 7: "n"}), "the process of n has died (pid 7)"),
        (Observation(running=True, died={7: ""}), "the process of a model has died (pid 7)"),
        (Observation(running=True, unreachable="closed"), "the server does not answer (closed)"),
        (
            Observation(running=True, unhealthy={"a": "pipe", "b": "stuck"}),
            "a fails: pipe; b fails: stuck",
        ),
        (Observation(running=True, unproven={"a": "pipe"}), None),
    ],
)
def test_what_is_a_fault(observation: Observation, fault: str | None) -> None:
    assert observation.fault == fault


def test_a_process_that_is_being_unloaded_is_no_dead_one(canaries: list[object]) -> None:
    server = Server()
    looking = check(server, canary=60.0)
    for dead, died in ([7], set()), ([], set()), ([7], set()), ([7, 8], {7}), ([8], {8}):
        server.dead = list(dead)
        assert looking.look().died.keys() == died
    assert canaries == []


def test_a_canary_is_sent_when_due_and_to_no_server_with_a_dead_process(
    canaries: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(health.time, "monotonic", lambda: now)
    server = Server()
    looking = check(server, canary=10.0)
    counts = []
    for now, dead in (109.0, []), (110.0, []), (111.0, []), (121.0, [7]), (131.0, [7]), (131.0, []):  # noqa: B007
        server.dead = list(dead)
        looking.look()
        counts.append(len(canaries))
    assert counts == [0, 1, 1, 2, 2, 3]


def test_a_server_that_answers_no_canary(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Canaries, connection: object) -> Findings:
        raise Fault("UNAVAILABLE", "connection refused", answered=False)

    monkeypatch.setattr(Canaries, "send", refuse)
    looking = check(Server(), canary=0.0)
    assert looking.look().fault == "the server does not answer (connection refused)"
