"""The two sides of a certificate: the network in PyTorch, and its graph in ONNX Runtime, asked the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from onnx import ModelProto, ValueInfoProto
from torch import Tensor, nn

from regard.contract.card import Card
from regard.contract.names import ANSWERS, IMAGE
from regard.contract.preprocess import Pixels
from regard.errors import ExportError
from regard.export.explanations import REFERENCES
from regard.models.explain import Explain

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Outputs:
    """What one side says about an image batch.

    scores: logits (B, K) or (B, K, H, W). answer: probabilities (B, K), or the label map (B, H, W). maps:
        explanations by output name.
    """

    scores: Array
    answer: npt.NDArray[np.float32 | np.uint8]
    maps: dict[str, Array]


class CannotRun(ExportError):
    """ONNX Runtime stops at a shape that the Card allows."""


def normalized(batch: Pixels, card: Card) -> Tensor:
    """(pixels / 255 - mean) / std as the Card says it, apart from the served graph: (B, H, W, 3) -> (B, 3, H,
    W).
    """
    x = torch.from_numpy(batch).permute(0, 3, 1, 2) / 255
    return (x - torch.tensor(card.input.mean).view(3, 1, 1)) / torch.tensor(card.input.std).view(3, 1, 1)


def run_network(network: nn.Module, card: Card, batch: Pixels, *, explain: Explain | None = None) -> Outputs:
    """The reference's outputs."""
    with torch.no_grad():
        logits, maps = REFERENCES[explain](network, normalized(batch, card))
    answer = logits.softmax(dim=1) if card.task == "classification" else logits.argmax(dim=1).to(torch.uint8)
    return Outputs(logits.numpy(), answer.numpy(), {name: values.numpy() for name, values in maps.items()})


class GraphRunner:
    """The candidate: a served graph in one session for all shapes, whose logits an in-memory copy hands out.

    Raises:
        ExportError: it is no served graph, or ONNX Runtime does not take it.
    """

    def __init__(self, model: ModelProto, card: Card) -> None:
        answer = ANSWERS[card.task]
        self.maps = [value.name for value in model.graph.output if value.name != answer]
        self.tensors = [answer, _logits_of(model, answer), *self.maps]
        self.session = session_with(model, self.tensors)

    def run(self, batch: Pixels) -> Outputs:
        """The candidate's outputs.

        Raises:
            CannotRun: ONNX Runtime stops at this shape.
        """
        answer, scores, *maps = run_session(self.session, self.tensors, batch)
        return Outputs(scores, answer, dict(zip(self.maps, maps, strict=True)))


def session_with(model: ModelProto, tensors: Sequence[str]) -> onnxruntime.InferenceSession:
    """A session on a copy of the model that also hands out inner tensors.

    Raises:
        ExportError: ONNX Runtime does not take the model.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    known = {value.name for value in copy.graph.output}
    copy.graph.output.extend(ValueInfoProto(name=name) for name in tensors if name not in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong comes as an exception
    try:
        return onnxruntime.InferenceSession(
            copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors have no narrower base
        raise ExportError(f"ONNX Runtime does not take the graph: {error}") from None


def run_session(
    session: onnxruntime.InferenceSession, tensors: Sequence[str], batch: Pixels
) -> list[npt.NDArray[np.float32]]:
    """Run a batch and return the named tensors.

    Raises:
        CannotRun: ONNX Runtime stops at this shape.
    """
    try:
        results: list[npt.NDArray[np.float32]] = session.run(list(tensors), {IMAGE: batch})
    except Exception as error:  # ONNX Runtime's errors have no narrower base
        raise CannotRun(str(error).strip()) from None
    return results


def _logits_of(model: ModelProto, answer: str) -> str:
    """Name of the tensor that the last Softmax or ArgMax turns into the answer."""
    producers = {output: node for node in model.graph.node for output in node.output}
    name = answer
    while name in producers:
        node = producers[name]
        name = node.input[0]
        if node.op_type in ("Softmax", "ArgMax"):
            return name
    raise ExportError(f"no Softmax or ArgMax makes {answer}; this is no graph that regard exports")
