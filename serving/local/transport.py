"""What carries a client's requests to an exported model in this process, in place of a connection.

It answers in a server's words, so that results and errors are those of `regard serve`. One image or text is
computed at a time, by one thread: the thread that asks.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from regard.contract.inputs import FramesInput
from regard.contract.names import CARD_PARAMETER, ENCODED_IMAGE
from regard.contract.preprocess import BadImage, file_in
from regard.contract.tokenizer import BadText
from regard.export.artifact import Artifact
from regard.export.proof.runner import CannotRun
from regard.export.sessions.open_artifact import open_artifact
from regard.serving.client.batches import raw_endpoint
from regard.serving.local.states import States
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.wire import Answer, Array, Fault, Outputs, Request

VERSION = "1"  # the only one


class LocalTransport:
    """An artifact's graph behind the two endpoints that a repository gives it.

    Raises:
        ExportError: its runtime does not take the graph.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.card = card = artifact.card
        self._raw = raw_endpoint(card.name, card)
        self.endpoints = {
            card.name: [kind.tensor for kind in card.inputs],
            self._raw: [ENCODED_IMAGE if kind is card.pixels else kind.tensor for kind in card.inputs],
        }
        self._session = open_artifact(artifact, threads=1)
        self._states = None if card.state is None else States(card.state)
        following = [] if card.state is None else [tensor.next for tensor in card.state.tensors]
        self._hidden = tuple(following)
        self._outputs = tuple(name for name in self._session.outputs if name not in following)

    def infer(self, request: Request, *, timeout: float, cancellation: Cancellation) -> Answer:
        """Compute the entries of a request; `timeout` stops nothing that has begun."""
        taken = self._inputs_of(request.model, request.version)
        if request.inputs.keys() != set(taken):
            wanted = " and ".join(map(repr, taken))
            raise Fault("INVALID_ARGUMENT", f"{request.model} takes {wanted}, got {sorted(request.inputs)}")
        outputs = request.outputs or self._outputs
        for unknown in set(outputs) - set(self._outputs):
            raise Fault("INVALID_ARGUMENT", f"unexpected inference output {unknown!r} for {request.model!r}")
        counts = {len(np.atleast_1d(request.inputs[name])) for name in taken}
        if len(counts) > 1:
            raise Fault(
                "INVALID_ARGUMENT", f"the inputs of a request must be of one batch, got {sorted(counts)}"
            )
        columns = [self._column(name, request) for name in taken]
        answers = []
        for row in zip(*columns, strict=True):
            if cancellation.cancelled:
                raise Fault("CANCELLED", "the request was cancelled")
            entries = {kind.tensor: entry[None] for kind, entry in zip(self.card.inputs, row, strict=True)}
            answers.append(self._step(entries, outputs, request))
        if not answers:
            raise Fault("INVALID_ARGUMENT", f"input {taken[0]!r} has no elements")
        return Answer({name: np.concatenate([each[name] for each in answers]) for name in answers[0]})

    def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        """What a client reads of a configuration: the Card, and the outputs' names."""
        self._inputs_of(model, version)
        return {
            "parameters": {CARD_PARAMETER: {"string_value": self.card.to_json()}},
            "output": [{"name": name} for name in self._outputs],
        }

    def index(self, *, timeout: float) -> list[dict[str, str]]:
        """Both endpoints, ready."""
        return [{"name": name, "version": VERSION, "state": "READY"} for name in self.endpoints]

    def ready(self, *, timeout: float) -> bool:
        """Always."""
        return True

    def register(self, region: str, key: str, size: int, *, timeout: float) -> None:
        """Refused: there is nobody to share memory with."""
        raise Fault("UNIMPLEMENTED", "a model in this process needs no shared memory")

    def unregister(self, region: str, *, timeout: float) -> None:
        """Nothing is registered."""

    def close(self) -> None:
        """Nothing is open."""

    def stream(self, request: Request, *, timeout: float) -> Generator[Answer, None, None]:
        """Refused: a whole answer costs no more here."""
        raise Fault(
            "UNIMPLEMENTED", "a model in this process answers as a whole: ask for the text, not for its words"
        )

    def _inputs_of(self, model: str, version: str) -> list[str]:
        if model not in self.endpoints or version not in ("", VERSION):
            raise Fault("NOT_FOUND", f"unknown model {model!r}, version {version or 'any'}")
        return self.endpoints[model]

    def _column(self, name: str, request: Request) -> Iterable[Array]:
        """The entries of one input, as the graph takes them."""
        tensor = request.inputs[name]
        if request.model != self._raw:
            return np.atleast_1d(tensor)
        if name == ENCODED_IMAGE:
            return self._decoded(tensor)
        (kind,) = (kind for kind in self.card.texts if kind.tensor == name)
        try:
            return kind.tokenizer.batch([text.decode() for text in tensor.ravel()])
        except BadText as error:
            raise Fault("INVALID_ARGUMENT", f"input {name!r}: {error}") from None

    def _decoded(self, files: Array) -> Iterator[Array]:
        """Of image files (B, 1) each one's pixels, of (B, frames) each clip's."""
        clips = isinstance(self.card.pixels, FramesInput)
        index = 0
        for row in files.reshape(len(files), -1) if clips else files.reshape(-1, 1):
            pixels = []
            for file in row:
                try:
                    pixels.append(self.card.input.decode_and_fit(file_in(file)))
                except BadImage as error:
                    raise Fault("INVALID_ARGUMENT", f"image {index} of the request: {error}") from None
                index += 1
            yield np.stack(pixels) if clips else pixels[0]

    def _step(self, entries: Outputs, outputs: tuple[str, ...], request: Request) -> Outputs:
        """The outputs of one entry, in its session where the model has state."""
        if self._states is None:
            return self._run(entries, outputs)
        (image,) = entries.values()
        answer = self._run(entries | self._states.given(request, image), (*outputs, *self._hidden))
        self._states.keep(request, image, answer)
        return {name: answer[name] for name in outputs}

    def _run(self, entries: Outputs, outputs: tuple[str, ...]) -> Outputs:
        """The outputs of one entry of each input, a batch of one."""
        try:
            values = self._session.run(outputs, entries)
        except CannotRun as error:
            raise Fault("INTERNAL", str(error)) from None
        arrays = dict(zip(outputs, values, strict=True))
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise Fault(
                    "INTERNAL",
                    f"output '{name}' holds NaN or infinity, which is no answer of this model's Card",
                )
        return arrays
