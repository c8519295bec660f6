"""The backend of a model's endpoint for words one by one: image files and texts in, an answer for each word
as soon as it is chosen, greedily.

It runs the two graphs that the model's own was cut into: `encode.onnx` once, then `step.onnx` for each word.
A stream ends with the word before the end, with as many words as the Card's longest answer, or when nobody
listens any more.

It runs inside the server's Python stub. Beside it lie raw_inputs.py, spoken_graph.py, request_checks.py and
what opens graphs; beside the graphs lies the Card.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it

if TYPE_CHECKING:
    from regard.serving.triton.backends.onnxruntime_graph import OnnxRuntimeGraph
    from regard.serving.triton.backends.raw_inputs import RawInputs, card_of_version
    from regard.serving.triton.backends.regard_session import Array, CannotRun, Graph
    from regard.serving.triton.backends.request_checks import ArrayChecks, Refused, check_request, failed
    from regard.serving.triton.backends.spoken_graph import Speech
else:  # inside the server they lie beside this file
    from onnxruntime_graph import OnnxRuntimeGraph
    from raw_inputs import RawInputs, card_of_version
    from regard_session import CannotRun
    from request_checks import ArrayChecks, Refused, check_request, failed
    from spoken_graph import Speech

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL  # a flag of what is sent last
ENCODE_FILE, STEP_FILE = "encode.onnx", "step.onnx"
NEXT, MORE = "next_", "more"  # in the names of what a step gives
POSITION, SEQUENCE, SCORES = "position", "sequence", "log_probabilities"  # of what steps hand on


class Word(NamedTuple):
    """A word by number, and its log-probability."""

    token: int
    score: float


class TritonPythonModel:
    """One instance: one stream at a time."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Make ready, down to a first answer, so that no request pays for it."""
        self.config = json.loads(args["model_config"])
        self.checked = ArrayChecks(self.config)
        self.raw = RawInputs()
        self.speech = Speech(card_of_version()["answer"])
        encode, step = (
            OnnxRuntimeGraph(args, {**self.config, "default_model_filename": file})
            for file in (ENCODE_FILE, STEP_FILE)
        )
        self.words = Words(encode, step)
        try:
            for _ in self.words.of(self.raw.example()):
                pass
        except CannotRun as error:
            raise pb_utils.TritonModelException(str(error)) from None

    def execute(self, requests: Sequence[Any]) -> None:
        """Answer each request by a stream of its own."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                check_request(request, self.config)
                inputs = self.raw.of(request)
                self.checked(inputs)
                self._tell(request, sender, inputs)
            except Refused as refused:
                sender.send(failed(str(refused), refused.code), FINAL)
            except CannotRun as error:
                sender.send(failed(str(error), pb_utils.TritonError.INTERNAL), FINAL)
            else:
                sender.send(flags=FINAL)

    def _tell(self, request: Any, sender: Any, inputs: "Mapping[str, Array]") -> None:
        """Send the words to who asked, as long as he listens."""
        names = request.requested_output_names()
        for number, word in enumerate(self.words.of(inputs)):
            if word.token in self.speech.over or sender.is_cancelled():
                return
            if not np.isfinite(word.score):
                raise CannotRun(f"word {number} has log-probability {word.score}, which is no answer")
            joiner = self.speech.joiner if number else ""
            said = {
                "token": np.array([[word.token]], np.int64),
                "text": np.array([[f"{joiner}{self.speech.vocabulary[word.token]}".encode()]], np.object_),
                "log_probability": np.array([[word.score]], np.float32),
            }
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor(name, said[name]) for name in names]))


class Words:
    """The words of one answer after the other.

    Args:
        encode: from a request's tensors to what the first step takes, by the same names.
        step: from one step's tensors to those of the next, `next_<name>`, and whether there is one, `more`.
    """

    def __init__(self, encode: "Graph", step: "Graph") -> None:
        self.encode, self.step = encode, step

    def of(self, inputs: "Mapping[str, Array]") -> Iterator[Word]:
        """Each word as soon as it is chosen, the end among them. Raises CannotRun."""
        given = {name: inputs[name] for name in self.encode.inputs}
        held = dict(zip(self.encode.outputs, self.encode.run([*self.encode.outputs], given), strict=True))
        more = True
        while more:
            position = int(held[POSITION])
            given = {name: held[name] for name in self.step.inputs}
            found = dict(zip(self.step.outputs, self.step.run([*self.step.outputs], given), strict=True))
            more = bool(found.pop(MORE))
            held.update({name.removeprefix(NEXT): value for name, value in found.items()})
            yield Word(int(held[SEQUENCE][0, position]), float(held[SCORES][0, position]))
