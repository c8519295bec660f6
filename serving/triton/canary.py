"""A canary: one real, tiny inference on each model, since a server whose model process died still calls
itself ready.

What to send is known where the configuration holds a Card, and guessed elsewhere. So a canary that fails says
something about the model only if the model has answered it before; until then the model is unproven.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from regard.serving.protocol.connection import Connection
from regard.serving.protocol.wire import Fault
from regard.serving.triton.probes import Probe, has_card, probes_of

DEADLINE = 30.0  # seconds for one inference; past it the model is stuck if it answered nobody else either
FIRST_DEADLINE = 120.0  # for the first, while other models are being loaded
LONGEST_WAIT = 600.0  # seconds between two canaries to an unproven model
BROKEN = ("INTERNAL", "UNKNOWN")


@dataclass(frozen=True)
class Findings:
    """What a round of canaries showed, each with the reason.

    unhealthy: models that failed what they answered before.
    unproven: models whose canary never passed, and that were not reported yet.
    proven: models that have answered one and do not fail now, the steps of ensembles included.
    """

    unhealthy: Mapping[str, str] = field(default_factory=dict)
    unproven: Mapping[str, str] = field(default_factory=dict)
    proven: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Canary:
    """The requests that a model should answer, smallest first, the versions that are there to answer, and the
    models that are asked with it.
    """

    model: str
    versions: frozenset[str]
    probes: tuple[Probe, ...]
    steps: frozenset[str]


@dataclass(frozen=True)
class _Failures:
    versions: frozenset[str]
    count: int
    next_try: float


class Canaries:
    """Sends canaries round by round, and remembers which of them passed.

    An unproven model is tried again after `interval` seconds, then after twice as many, up to LONGEST_WAIT.

    Args:
        interval: seconds between rounds.
        deadline: seconds that an inference may take.
    """

    def __init__(self, *, interval: float = 10.0, deadline: float = DEADLINE) -> None:
        self.interval = interval
        self.deadline = deadline
        self._passed: dict[str, tuple[frozenset[str], int]] = {}  # model -> versions, number of the request
        self._failures: dict[str, _Failures] = {}

    def restarted(self) -> None:
        """A restarted server has answered nothing yet, so that no model can make it restart for ever."""
        self._passed.clear()

    def send(self, connection: Connection) -> Findings:
        """Send a canary to every model that is ready. A refusal, an overload, or a model whose input no
        request can be made up for, is no fault. Raises Fault where the server does not answer.
        """
        unhealthy, unproven = {}, {}
        proven: set[str] = set()
        for canary in _canaries(connection, self.deadline):
            versions, number = self._passed.get(canary.model, (None, 0))
            if versions == canary.versions:
                fault = _fault(connection, canary.probes[number], self.deadline)
                if fault is not None and fault.code in BROKEN:
                    unhealthy[canary.model] = fault.message
            else:
                reason = self._prove(connection, canary)
                if reason is not None:
                    unproven[canary.model] = reason
            passed, _ = self._passed.get(canary.model, (None, 0))
            if passed == canary.versions and canary.model not in unhealthy:
                proven |= {canary.model, *canary.steps}
        return Findings(unhealthy, unproven, frozenset(proven))

    def _prove(self, connection: Connection, canary: _Canary) -> str | None:
        """Try the requests of a model that has passed none of them; the reason if that fails the first
        time.
        """
        failures = self._failures.get(canary.model)
        if failures is None or failures.versions != canary.versions:
            failures = _Failures(canary.versions, 0, 0.0)
        if time.monotonic() < failures.next_try:
            return None
        reason = None
        for number, probe in enumerate(canary.probes):
            fault = _fault(connection, probe, self.deadline)
            if fault is None:
                self._passed[canary.model] = canary.versions, number
                self._failures.pop(canary.model, None)
                return None
            if fault.code not in (*BROKEN, "INVALID_ARGUMENT"):
                return None  # overloaded, or unloaded meanwhile
            reason = fault.message
        wait = min(self.interval * 2**failures.count, LONGEST_WAIT)
        self._failures[canary.model] = _Failures(canary.versions, failures.count + 1, time.monotonic() + wait)
        return reason if failures.count == 0 else None


def first_answer(connection: Connection, model: str, versions: Sequence[int]) -> str | None:
    """Why versions that were just loaded fail what their Card says they take; None where they answer, or
    where no Card says it.
    """
    config = connection.config(model, "", timeout=DEADLINE)
    if not has_card(config):
        return None
    for version in versions:
        fault = None
        for probe in probes_of(config, str(version)):
            fault = _fault(connection, probe, FIRST_DEADLINE)
            if fault is None:
                break
        if fault is not None and fault.code in BROKEN:
            return f"its first inference fails: {fault.message}"
    return None


def _fault(connection: Connection, probe: Probe, deadline: float) -> Fault | None:
    """The fault of one inference; of one that is late, whether the model is stuck or busy with others."""
    model = probe.request.model
    answered = _answered(connection, model)
    try:
        probe.ask(connection, timeout=deadline)
    except Fault as fault:
        if not fault.answered:
            raise
        if fault.code != "DEADLINE_EXCEEDED":
            return fault
        if _answered(connection, model) == answered:
            return Fault("INTERNAL", f"no answer to anybody for {deadline:g} s")
        return Fault("UNAVAILABLE", "it is busy")
    return None


def _canaries(connection: Connection, deadline: float) -> Iterator[_Canary]:
    versions: dict[str, set[str]] = {}
    for model in connection.index(timeout=deadline):
        if model.get("state") == "READY":
            versions.setdefault(model["name"], set()).add(model.get("version", ""))
    configs = {name: connection.config(name, "", timeout=deadline) for name in versions}
    probes = {name: probes_of(config) for name, config in configs.items()}
    steps = {
        name: frozenset(step["model_name"] for step in config.get("ensemble_scheduling", {}).get("step", ()))
        for name, config in configs.items()
        if probes[name]
    }
    for name in sorted(
        steps.keys() - frozenset().union(*steps.values())
    ):  # it goes through an ensemble's parts
        yield _Canary(name, frozenset(versions[name]), probes[name], steps[name])


def _answered(connection: Connection, model: str) -> int:
    """How many inferences the model has finished."""
    return sum(
        int(version.get("inference_stats", {}).get("success", {}).get("count", 0))
        for version in connection.statistics(model, timeout=DEADLINE)
    )
