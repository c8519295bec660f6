"""Everything a client does except wait.

Each method is a generator of steps: it yields what is to be done (send this, pause so long), is sent the
answer or thrown the Fault, and returns its result. `sync.py` and `aio.py` carry the steps out; nothing else
differs between them.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from regard.contract.card import Card
from regard.errors import InferenceError, InvalidInput, RegardError
from regard.serving.client.batches import Batch, image_endpoint, raw_endpoint, text_endpoint
from regard.serving.client.images import ImageItem
from regard.serving.client.items import Encoded
from regard.serving.client.persistence import Persistence
from regard.serving.client.regions import Regions
from regard.serving.client.shared_exchange import shared_exchange
from regard.serving.client.steps import Pause, ReadConfig, ReadIndex, Steps, Unregister
from regard.serving.client.tasks import Task
from regard.serving.protocol.address import Address
from regard.serving.protocol.card import served_card
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.explain import public_error, takes_files_alone, wants_index
from regard.serving.protocol.tensors import datatype_of
from regard.serving.protocol.wire import Array, Fault, Outputs, Request

T = TypeVar("T")

FAREWELL = 2.0  # seconds for the server to forget shared memory when the client closes
LOOK = 0.05  # seconds between attempts at what is in use
PER_IMAGE = ("INVALID_ARGUMENT", "INTERNAL", "UNKNOWN")  # faults that another image may not meet


@dataclass
class Core:
    """One client's knowledge: where its server is, the Cards it has read, the regions it shares.

    insist: shared memory was asked for, so that a server's refusal is an error instead of a reason to do
        without.
    """

    address: Address
    persistence: Persistence
    regions: Regions
    insist: bool
    _cards: dict[tuple[str, str], Card] = field(default_factory=dict)
    _outputs: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)  # of what has a Card
    _files_only: set[str] = field(default_factory=set)  # models that are served for image files alone
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def card(self, model: str, version: str, deadline: Deadline) -> Steps[Card]:
        """The model's Card, from its configuration on the server; read once."""
        with self._lock:
            known = self._cards.get((model, version))
        if known is not None:
            return known
        endpoint = model
        try:
            try:
                config = yield from self._config(model, version, deadline)
            except Fault as fault:
                if fault.code != "NOT_FOUND":
                    raise
                endpoint, config = yield from self._raw_config(fault, model, version, deadline)
        except Fault as fault:
            raise (yield from self.explained(fault, model, model, version, deadline)) from None
        card = served_card(config, model)
        with self._lock:
            self._cards[model, version] = card
            self._outputs[model, version] = frozenset(output["name"] for output in config.get("output", ()))
            alone = endpoint == raw_endpoint(model, card)
            (self._files_only.add if alone else self._files_only.discard)(model)
        return card

    def forget_card(self, model: str, version: str) -> None:
        """Let the next call read the model's Card again."""
        with self._lock:
            self._cards.pop((model, version), None)

    def decodes(self, model: str, version: str) -> bool:
        """Whether image files are decoded here, for the endpoint for tensors; of a model whose Card was
        read.
        """
        return bool(version) and model not in self._files_only

    def takes_file(self, model: str, version: str, image: ImageItem) -> bool:
        """Whether an image goes as a file; likewise."""
        as_it_is = isinstance(image, Encoded) and not self.decodes(model, version)
        return as_it_is or model in self._files_only

    def _raw_config(
        self, fault: Fault, model: str, version: str, deadline: Deadline
    ) -> Steps[tuple[str, Mapping[str, Any]]]:
        """The endpoint for files or texts of a model without one for tensors, and its configuration; raises
        the fault where it has none.
        """
        for endpoint in (image_endpoint(model), text_endpoint(model)):
            try:
                return endpoint, (yield from self._config(endpoint, version, deadline))
            except Fault:
                continue
        raise fault from None

    def task(
        self, make: Callable[[Card], Task[T]], model: str, version: str, deadline: Deadline
    ) -> Steps[Task[T]]:
        """What is made of the model's Card.

        Raises:
            InvalidInput: it is asked in sessions.
        """
        card = yield from self.card(model, version, deadline)
        if card.state is not None:
            raise InvalidInput(
                f"{model!r} remembers from one frame to the next: ask it in a session, "
                f"`with client.session({model!r}) as session`"
            )
        return make(card)

    def _config(self, model: str, version: str, deadline: Deadline) -> Steps[Mapping[str, Any]]:
        config: Mapping[str, Any] = yield from self.persistence.ask(
            lambda timeout: ReadConfig(model, version, timeout), deadline
        )
        return config

    def infer(self, request: Request, deadline: Deadline) -> Steps[Outputs]:
        """One raw inference."""
        try:
            return (yield from self._exchange(request, {}, deadline))
        except Fault as fault:
            model = request.model
            raise (yield from self.explained(fault, model, model, request.version, deadline)) from None

    def predict(
        self, task: Task[T], model: str, version: str, batch: Batch, deadline: Deadline
    ) -> Steps[list[T | RegardError]]:
        """A result for every image of a batch, or the error of that image alone; raises the errors that
        concern them all.
        """
        if batch.refused:
            return [batch.refused]
        request = self.request(task, model, version, batch)
        if model in self._files_only and batch.card.pixels is not None and not batch.files:
            self.forget_card(model, version)  # perhaps the endpoint has been added
            return [InvalidInput(f"{item.where}: {takes_files_alone(model)}") for item in batch.items]
        size = task.answer.nbytes(len(batch.items), *batch.size)
        try:
            outputs = yield from self._sent(request, model, {task.answer.tensor: size}, deadline)
        except Fault as fault:
            if fault.code == "INVALID_ARGUMENT" and len(batch.items) > 1:  # find out whose fault it is
                apart: list[T | RegardError] = []
                for single in batch.singles():
                    apart += yield from self.predict(task, model, version, single, deadline)
                return apart
            if fault.code not in PER_IMAGE:
                raise (yield from self.explained(fault, model, request.model, version, deadline)) from None
            where = ", ".join(item.where for item in batch.items)
            if fault.code == "INVALID_ARGUMENT":
                return [InvalidInput(f"{where}: {fault.message}")]
            return [InferenceError(fault.code, fault.message, model) for _ in batch.items]
        try:
            return list(task.results(outputs, batch.given))
        except InvalidInput:
            self.forget_card(model, version)  # perhaps the model was replaced
            raise

    def request(self, task: Task[Any], model: str, version: str, batch: Batch) -> Request:
        """What asks about a batch that is not refused; of a model whose Card was read."""
        raw = batch.files or (batch.card.pixels is None and model in self._files_only)
        extras = (output for output in task.extras if output in self._outputs[model, version])
        return Request(
            raw_endpoint(model, batch.card) if raw else model,
            version,
            batch.raw() if raw else batch.tensors(),
            (task.answer.tensor, *extras),
        )

    def _sent(
        self, request: Request, model: str, sizes: Mapping[str, int], deadline: Deadline
    ) -> Steps[Outputs]:
        """Send a request to an endpoint of a model whose Card was read; raises Fault.

        One that is not found and never answered may not be there, or its server is being started again: then
        the model is not found either, and waited for.
        """
        try:
            return (yield from self._exchange(request, sizes, deadline))
        except Fault as fault:
            if fault.code != "NOT_FOUND" or self.persistence.met(request.model, request.version):
                raise
        yield from self._config(model, request.version, deadline)
        return (yield from self._exchange(request, sizes, deadline))

    def _exchange(self, request: Request, sizes: Mapping[str, int], deadline: Deadline) -> Steps[Outputs]:
        """Send a request. sizes: bytes of the outputs, where known; raises Fault."""
        if not self.regions.enabled:
            return (yield from self.persistence.infer(request, deadline)).arrays
        return (
            yield from shared_exchange(
                request,
                sizes,
                self.regions,
                self.address,
                insist=self.insist,
                persistence=self.persistence,
                deadline=deadline,
            )
        )

    def farewell(self) -> Steps[None]:
        """Unlink the shared memory, and let the server forget it: what an inference that was given up still
        uses, as soon as that has ended.
        """
        deadline, left = Deadline.after(FAREWELL), self.regions.close()
        while left and (seconds := deadline.remaining()) > 0:
            in_use = []
            for region in left:
                try:
                    yield Unregister(region, seconds)
                except Fault as fault:
                    if "currently in use" in fault.message:
                        in_use.append(region)
            left = in_use
            if left:
                yield Pause(LOOK)

    def explained(
        self, fault: Fault, model: str, endpoint: str, version: str, deadline: Deadline
    ) -> Steps[RegardError]:
        """The public error for a fault; an unknown name is looked up in the repository index."""
        index: list[dict[str, str]] | None = None
        if wants_index(fault):
            try:
                index = yield ReadIndex(max(deadline.remaining(), 0.1))
            except Fault:
                index = None
        return public_error(
            fault,
            self.address,
            model,
            endpoint=endpoint,
            version=version,
            timeout=deadline.seconds,
            index=index,
        )


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
        if not hasattr(array, "dtype") or datatype_of(array.dtype) is None:
            raise InvalidInput(
                f"input {name!r} must be a NumPy array of numbers, booleans or bytes, got "
                f"{getattr(array, 'dtype', type(array))}"
            )
    return Request(model, version, dict(inputs), outputs)
