"""What carries a client's requests to an exported model in this process, in place of a connection.

It answers in a server's words, so that results and errors are those of `regard serve`. One image is computed
at a time, by one thread: the thread that asks.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from regard.contract.names import CARD_PARAMETER, ENCODED_IMAGE, IMAGE, IMAGE_ENDPOINT
from regard.contract.preprocess import BadImage, Pixels, file_in
from regard.export.artifact import Artifact
from regard.export.proof.runner import CannotRun
from regard.export.sessions.open_artifact import open_artifact
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.wire import Answer, Array, Fault, Outputs, Request

VERSION = "1"  # the only one


class LocalTransport:
    """An artifact's graph behind the two endpoints that a repository gives it.

    Raises:
        ExportError: its runtime does not take the graph.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.card = artifact.card
        self.endpoints = {artifact.card.name: IMAGE, artifact.card.name + IMAGE_ENDPOINT: ENCODED_IMAGE}
        self._session = open_artifact(artifact, threads=1)
        self._outputs = self._session.outputs

    def infer(self, request: Request, *, timeout: float, cancellation: Cancellation) -> Answer:
        """Compute the images of a request; `timeout` stops nothing that has begun."""
        taken = self._input_of(request.model, request.version)
        if list(request.inputs) != [taken]:
            raise Fault("INVALID_ARGUMENT", f"{request.model} takes {taken!r}, got {sorted(request.inputs)}")
        outputs = request.outputs or self._outputs
        for unknown in set(outputs) - set(self._outputs):
            raise Fault("INVALID_ARGUMENT", f"unexpected inference output {unknown!r} for {request.model!r}")
        (tensor,) = request.inputs.values()
        images = self._decoded(tensor.reshape(-1)) if taken == ENCODED_IMAGE else np.atleast_1d(tensor)
        answers = []
        for image in images:
            if cancellation.cancelled:
                raise Fault("CANCELLED", "the request was cancelled")
            answers.append(self._run(image[None], outputs))
        if not answers:
            raise Fault("INVALID_ARGUMENT", f"input {taken!r} has no elements")
        return Answer({name: np.concatenate([each[name] for each in answers]) for name in answers[0]})

    def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        """What a client reads of a configuration: the Card, and the outputs' names."""
        self._input_of(model, version)
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

    def _input_of(self, model: str, version: str) -> str:
        if model not in self.endpoints or version not in ("", VERSION):
            raise Fault("NOT_FOUND", f"unknown model {model!r}, version {version or 'any'}")
        return self.endpoints[model]

    def _decoded(self, files: Iterable[bytes]) -> Iterator[Pixels]:
        for index, file in enumerate(files):
            try:
                yield self.card.input.decode_and_fit(file_in(file))
            except BadImage as error:
                raise Fault("INVALID_ARGUMENT", f"image {index} of the request: {error}") from None

    def _run(self, pixels: Array, outputs: tuple[str, ...]) -> Outputs:
        """The outputs of one image (1, height, width, channels)."""
        try:
            values = self._session.run(outputs, {IMAGE: pixels})
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
