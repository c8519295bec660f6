"""Everything a client does except wait.

Each method is a generator of steps: it yields what is to be done (send this, pause so long), is sent the
answer or thrown the Fault, and returns its result. `sync.py` and `aio.py` carry the steps out; nothing else
differs between them.
"""

import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from tritonclient.utils import np_to_triton_dtype

from regard.contract.card import Card, card_from_json
from regard.contract.names import CARD_PARAMETER, OWN_SUFFIXES
from regard.errors import InferenceError, InvalidInput, RegardError, ServerUnreachable, UnknownName
from regard.serving.client.batches import Batch
from regard.serving.client.deadline import Deadline
from regard.serving.client.regions import WORTH_SHARING, Region, Regions, room_for
from regard.serving.client.retry import Retry, worth_retrying
from regard.serving.client.tasks import Task
from regard.serving.client.wire import Answer, Array, Fault, Outputs, Request

T = TypeVar("T")

PER_IMAGE = ("INVALID_ARGUMENT", "INTERNAL", "UNKNOWN")  # faults that another image may not meet


@dataclass(frozen=True)
class Infer:
    """Send a request, and be sent its Answer."""

    request: Request
    timeout: float


@dataclass(frozen=True)
class ReadConfig:
    """Be sent a model's configuration."""

    model: str
    version: str
    timeout: float


@dataclass(frozen=True)
class ReadIndex:
    """Be sent the repository index."""

    timeout: float


@dataclass(frozen=True)
class Register:
    """Let the server open a shared memory region."""

    region: Region
    timeout: float


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


Step: TypeAlias = Infer | ReadConfig | ReadIndex | Register | Pause
Steps: TypeAlias = Generator[Step, Any, T]


@dataclass
class Core:
    """One client's knowledge: where its server is, the Cards it has read, the regions it shares.

    insist: shared memory was asked for, so that a server's refusal is an error instead of a reason to do
        without.
    """

    url: str
    retry: Retry
    regions: Regions
    insist: bool
    _cards: dict[tuple[str, str], Card] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def card(self, model: str, version: str, deadline: Deadline) -> Steps[Card]:
        """The model's Card, from its configuration on the server; read once."""
        with self._lock:
            known = self._cards.get((model, version))
        if known is not None:
            return known
        try:
            config = yield from self._attempts(lambda timeout: ReadConfig(model, version, timeout), deadline)
        except Fault as fault:
            raise (yield from self._explained(fault, model, version, deadline)) from None
        card = _card_in(config, model)
        with self._lock:
            self._cards[model, version] = card
        return card

    def infer(self, request: Request, deadline: Deadline) -> Steps[Outputs]:
        """One raw inference."""
        try:
            return (yield from self._exchange(request, {}, deadline))
        except Fault as fault:
            raise (yield from self._explained(fault, request.model, request.version, deadline)) from None

    def predict(
        self, task: Task[T], model: str, version: str, batch: Batch, deadline: Deadline
    ) -> Steps[list[T | RegardError]]:
        """A result for every image of a batch, or the error of that image alone; raises the errors that
        concern them all.
        """
        if batch.refused:
            return [batch.refused]
        endpoint, name, tensor = batch.tensor(model)
        request = Request(endpoint, version, {name: tensor}, (task.output,))
        try:
            outputs = yield from self._exchange(request, {task.output: task.bytes_of(batch)}, deadline)
        except Fault as fault:
            if fault.code == "INVALID_ARGUMENT" and len(batch.items) > 1:  # find out whose fault it is
                apart: list[T | RegardError] = []
                for single in batch.singles():
                    apart += yield from self.predict(task, model, version, single, deadline)
                return apart
            if fault.code not in PER_IMAGE:
                raise (yield from self._explained(fault, model, version, deadline)) from None
            where = ", ".join(item.where for item in batch.items)
            if fault.code == "INVALID_ARGUMENT":
                return [InvalidInput(f"{where}: {fault.message}")]
            return [InferenceError(fault.code, fault.message, model) for _ in batch.items]
        try:
            results = task.results(outputs[task.output])
            if len(results) != len(batch.items):
                raise InvalidInput(
                    f"model {model!r} gave {len(results)} answers to {len(batch.items)} images; its graph "
                    "mixes up the batch"
                )
        except InvalidInput:
            with self._lock:  # perhaps the model was replaced: let the next call read the new Card
                self._cards.pop((model, version), None)
            raise
        return list(results)

    def _exchange(self, request: Request, sizes: Mapping[str, int], deadline: Deadline) -> Steps[Outputs]:
        """Send a request, through shared memory where that pays. sizes: bytes of the outputs, where known;
        raises Fault.
        """
        outputs = sizes if sum(sizes.values()) >= WORTH_SHARING else {}
        region = None
        if (
            self.regions.enabled
            and sum(array.nbytes for array in request.inputs.values()) + sum(outputs.values())
            >= WORTH_SHARING
        ):
            region = yield from self._region(room_for(request.inputs, outputs), deadline)
        if region is None:
            answer: Answer = yield from self._attempts(lambda timeout: Infer(request, timeout), deadline)
            return answer.arrays
        reusable = False
        try:
            spans = region.place(request.inputs, outputs)
            shared = Request(request.model, request.version, request.inputs, request.outputs, spans)
            answer = yield from self._attempts(lambda timeout: Infer(shared, timeout), deadline)
            reusable = True
            return answer.arrays | {
                name: region.read(spans[name], *facts) for name, facts in answer.written.items()
            }
        except Fault as fault:
            if not fault.answered or fault.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
                raise
            if "shared memory" not in fault.message.lower():
                reusable = True
                raise
        finally:
            (self.regions.give_back if reusable else self.regions.destroy)(region)
        # the server has forgotten the region
        answer = yield from self._attempts(lambda timeout: Infer(request, timeout), deadline)
        return answer.arrays

    def _region(self, size: int, deadline: Deadline) -> Steps[Region | None]:
        """A region that the server knows; None where it has to be done without."""
        region = self.regions.lend(size)
        if region is None or region.registered:
            return region
        registered = False
        try:
            yield Register(region, deadline.remaining())
            region.registered = registered = True
        except Fault as fault:
            if not fault.answered or fault.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
                return None  # sending the request will tell
            self.regions.enabled = False
            if self.insist:
                raise InvalidInput(
                    f"the server at {self.url} refuses shared memory ({fault.message}): it must run on this "
                    "machine and see the same shared memory; leave shared_memory out to send images over the "
                    "connection"
                ) from None
            return None
        finally:
            if not registered:
                self.regions.destroy(region)
        return region

    def _attempts(self, step: Callable[[float], Step], deadline: Deadline) -> Steps[Any]:
        pauses: Iterator[float] = self.retry.pauses()
        lost: Fault | None = None
        while True:
            timeout = deadline.remaining()
            if timeout <= 0:
                raise lost or Fault("DEADLINE_EXCEEDED", f"no time left of {deadline.seconds:g} s")
            try:
                return (yield step(timeout))
            except Fault as fault:
                pause = next(pauses, None)
                if not worth_retrying(fault) or pause is None or pause >= deadline.remaining():
                    raise
                lost = fault
            yield Pause(pause)

    def _explained(self, fault: Fault, model: str, version: str, deadline: Deadline) -> Steps[RegardError]:
        """The public error for a fault; an unknown name is looked up in the repository index."""
        if not fault.answered:
            return ServerUnreachable(
                f"no server answers at {self.url} ({fault.message}). Start one with `regard serve`, or give "
                "the address of one that runs."
            )
        if fault.code == "DEADLINE_EXCEEDED":
            message = (
                f"no answer from {self.url} within {deadline.seconds:g} s; pass a longer timeout, or "
                "see whether the server is overloaded"
            )
            return InferenceError(fault.code, message, model)
        try:
            index: list[dict[str, str]] = yield ReadIndex(max(deadline.remaining(), 0.1))
        except Fault:
            return InferenceError(fault.code, fault.message, model)
        entries = [entry for entry in index if entry["name"] == model]
        if not entries:
            return UnknownName.among(
                "model", model, {e["name"] for e in index if not e["name"].endswith(OWN_SUFFIXES)}
            )
        ready = sorted({entry.get("version", "") for entry in entries if entry.get("state") == "READY"})
        if version and version not in ready:
            return InvalidInput(
                f"model {model!r} has no version {version} on {self.url}. Served: "
                f"{', '.join(ready) or 'none'}."
            )
        if not ready:
            states = "; ".join(
                f"{entry.get('state') or 'not loaded'} {entry.get('reason', '')}".strip() for entry in entries
            )
            return InferenceError(
                "UNAVAILABLE",
                f"the server has it, but not ready ({states}); wait, or see the server's log",
                model,
            )
        return InferenceError(fault.code, fault.message, model)


def _card_in(config: Mapping[str, Any], model: str) -> Card:
    text = config.get("parameters", {}).get(CARD_PARAMETER, {}).get("string_value")
    if not text:
        raise InvalidInput(
            f"model {model!r} has no Card in its configuration (parameter 'card'), so its images and labels "
            "are unknown: write it with `regard repo add`, or use infer() with tensors"
        )
    return card_from_json(text, source=f"the Card of model {model!r} on the server")


def raw_request(
    model: str, version: str, inputs: Mapping[str, Array], outputs: tuple[str, ...] | None
) -> Request:
    """A request of any tensors.

    Raises:
        InvalidInput: no inputs, or an array of a dtype that Triton does not know.
    """
    if not inputs:
        raise InvalidInput(f"infer needs the inputs of {model!r} by name, got none")
    for name, array in inputs.items():
        if not hasattr(array, "dtype") or np_to_triton_dtype(array.dtype) is None:
            raise InvalidInput(
                f"input {name!r} must be a NumPy array of numbers, booleans or bytes, got "
                f"{getattr(array, 'dtype', type(array))}"
            )
    return Request(model, version, dict(inputs), outputs)
