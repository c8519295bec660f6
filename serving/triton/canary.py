"""A canary: one real, tiny inference on each model, since a server whose model process died still calls
itself ready.

What to send is known where the configuration holds a Card, and guessed elsewhere. So a canary that fails says
something about the model only if the model has answered it before; until then the model is unproven.
"""

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from regard.contract.card import Card
from regard.contract.names import CARD_PARAMETER
from regard.contract.reading import card_from_json
from regard.errors import InvalidInput
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.tensors import dtype_of
from regard.serving.protocol.wire import Fault, Request

DEADLINE = 30.0  # seconds for one inference; past it the model is stuck if it answered nobody else either
FIRST_DEADLINE = 120.0  # for the first, while other models are being loaded
LONGEST_WAIT = 600.0  # seconds between two canaries to an unproven model
GUESSED_SIDE = 32  # of a dimension whose meaning only the model's author knows
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
    requests: tuple[Request, ...]
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
                fault = _fault(connection, canary.requests[number], self.deadline)
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
        for number, request in enumerate(canary.requests):
            fault = _fault(connection, request, self.deadline)
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
    if _card_of(config) is None:
        return None
    for version in versions:
        fault = None
        for request in _requests(config, str(version)):
            fault = _fault(connection, request, FIRST_DEADLINE)
            if fault is None:
                break
        if fault is not None and fault.code in BROKEN:
            return f"its first inference fails: {fault.message}"
    return None


def _fault(connection: Connection, request: Request, deadline: float) -> Fault | None:
    """The fault of one inference; of one that is late, whether the model is stuck or busy with others."""
    answered = _answered(connection, request.model)
    try:
        connection.infer(request, timeout=deadline)
    except Fault as fault:
        if not fault.answered:
            raise
        if fault.code != "DEADLINE_EXCEEDED":
            return fault
        if _answered(connection, request.model) == answered:
            return Fault("INTERNAL", f"no answer to anybody for {deadline:g} s")
        return Fault("UNAVAILABLE", "it is busy")
    return None


def _canaries(connection: Connection, deadline: float) -> Iterator[_Canary]:
    versions: dict[str, set[str]] = {}
    for model in connection.index(timeout=deadline):
        if model.get("state") == "READY":
            versions.setdefault(model["name"], set()).add(model.get("version", ""))
    configs = {name: connection.config(name, "", timeout=deadline) for name in versions}
    requests = {name: _requests(config) for name, config in configs.items()}
    steps = {
        name: frozenset(step["model_name"] for step in config.get("ensemble_scheduling", {}).get("step", ()))
        for name, config in configs.items()
        if requests[name]
    }
    for name in sorted(
        steps.keys() - frozenset().union(*steps.values())
    ):  # it goes through an ensemble's parts
        yield _Canary(name, frozenset(versions[name]), requests[name], steps[name])


def _requests(config: Mapping[str, Any], version: str = "") -> tuple[Request, ...]:
    """The smallest request, and where the smallest may be too small for the network, one of the size it was
    made for; none where only the model's author could say what is valid.
    """
    inputs = config.get("input", ())
    if len(inputs) != 1:
        return ()
    (only,) = inputs
    card = _card_of(config)
    datatype = only["data_type"].removeprefix("TYPE_")
    arrays: list[Any]
    if datatype == "STRING":
        # a batch of one, whether or not the configuration's dims name it
        arrays = [np.array([[_encoded(size)]], np.object_) for size in _sizes(card)] if card else []
    else:
        dims = [int(dim) for dim in only.get("dims", ())]
        if config.get("max_batch_size"):
            dims.insert(0, 1)
        elif dims and dims[0] < 0:
            dims[0] = 1  # most likely a batch
        sizes = _sizes(card) if card else [(GUESSED_SIDE, GUESSED_SIDE)]
        shapes = dict.fromkeys(_filled(dims, size) for size in sizes)
        arrays = [np.zeros(shape, dtype_of(datatype)) for shape in shapes]
    return tuple(Request(config["name"], version, {only["name"]: array}) for array in arrays)


def _card_of(config: Mapping[str, Any]) -> Card | None:
    text = config.get("parameters", {}).get(CARD_PARAMETER, {}).get("string_value")
    try:
        return card_from_json(text, source=config["name"]) if text else None
    except InvalidInput:  # another regard's, or somebody else's parameter
        return None


def _sizes(card: Card) -> list[tuple[int, int]]:
    """Heights and widths; a network of one size stretches or crops what is sent."""
    contract = card.input
    own = (contract.height, contract.width)
    return [(contract.min_size, contract.min_size), own] if contract.dynamic_size else [own]


def _filled(dims: Sequence[int], size: tuple[int, int]) -> tuple[int, ...]:
    """The dimensions, with height and width in turn for those that vary."""
    sides = iter(size * len(dims))
    return tuple(dim if dim > 0 else next(sides) for dim in dims)


def _encoded(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size[1], size[0])).save(file, "PNG")
    return file.getvalue()


def _answered(connection: Connection, model: str) -> int:
    """How many inferences the model has finished."""
    return sum(
        int(version.get("inference_stats", {}).get("success", {}).get("count", 0))
        for version in connection.statistics(model, timeout=DEADLINE)
    )
