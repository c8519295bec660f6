"""An ONNX model that others exported: what goes in and out, found out before it is served, and its own
answers as a reference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from regard.contract.digest import sha256
from regard.errors import ExportError, InvalidInput
from regard.export.runners import CannotRun

FLOATS: dict[int, type[np.floating[Any]]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.DOUBLE: np.float64,
}
PLAIN = ("", "ai.onnx", "ai.onnx.ml")  # operator sets that every runtime knows
# they do not change what the values mean
PASSING = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Transpose")


@dataclass(frozen=True)
class GivenModel:
    """A model of one image input and one answer.

    Attributes:
        path: its file; external data beside it is in `proto`.
        image: name and type of its input (batch, 3, height, width), or (batch, height, width, 3) with
            `channels_last`.
        batch, height, width: of the input where they are fixed, None where any will do.
        answer: name of the output to serve.
        last: type of the operator that makes the answer, "" where the graph hands an input through.
    """

    path: Path
    proto: ModelProto
    image: str
    elem_type: int
    channels_last: bool
    batch: int | None
    height: int | None
    width: int | None
    answer: str
    last: str
    digest: str


def read_given(path: Path, answer: str | None = None) -> GivenModel:
    """Read a model and refuse what cannot be served.

    Args:
        path: the file.
        answer: the output to take, where there are several.

    Raises:
        InvalidInput: not a valid ONNX model, or with operators of its own, several inputs or outputs, or an
            input that is no image.
    """
    proto = _load(path)
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise InvalidInput(
            f"{path} has {len(inputs)} inputs ({names}); only a model of one image batch can be served"
        )
    outputs = [value.name for value in proto.graph.output]
    if answer is None and len(outputs) > 1:
        raise InvalidInput(
            f"{path} has {len(outputs)} outputs; say which one to serve with --answer: {', '.join(outputs)}"
        )
    if answer is not None and answer not in outputs:
        raise InvalidInput(f"{path} has no output {answer!r}; it has {', '.join(outputs)}")
    name = answer or outputs[0]
    elem_type, channels_last, batch, height, width = _image_input(inputs[0], path)
    last = _last_operator(proto.graph, name)
    return GivenModel(
        path, proto, inputs[0].name, elem_type, channels_last, batch, height, width, name, last, sha256(path)
    )


class GivenRunner:
    """The model as it was given, in ONNX Runtime.

    Raises:
        ExportError: ONNX Runtime does not take it.
    """

    def __init__(self, given: GivenModel) -> None:
        self.given = given
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong comes as an exception
        try:
            self.session = onnxruntime.InferenceSession(
                str(given.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors have no narrower base
            raise ExportError(f"ONNX Runtime does not take {given.path}: {error}") from None

    def run(self, x: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """The answer to normalized images (B, 3, H, W); a model of a fixed batch gets them in portions of
        that size, the last filled up.

        Raises:
            CannotRun: ONNX Runtime stops.
        """
        portion = self.given.batch or len(x)
        x = x.transpose(0, 2, 3, 1) if self.given.channels_last else x
        x = np.ascontiguousarray(x, dtype=FLOATS[self.given.elem_type])
        answers = []
        for start in range(0, len(x), portion):
            images = x[start : start + portion]
            missing = portion - len(images)
            filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
            try:
                (answer,) = self.session.run([self.given.answer], {self.given.image: filled})
            except Exception as error:  # ONNX Runtime's errors have no narrower base
                raise CannotRun(str(error).strip()) from None
            if len(np.atleast_1d(answer)) != portion:
                raise InvalidInput(
                    f"{self.given.path} answers {portion} images with {answer.shape}: no answer for each "
                    "image"
                )
            answers.append(answer[: len(images)])
        return np.concatenate(answers)


def _load(path: Path) -> ModelProto:
    try:
        proto = onnx.load(path)
        _refuse_custom_operators(proto)
        onnx.checker.check_model(path)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from None
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        reason = (str(error).strip().splitlines() or ["no ONNX"])[0]
        raise InvalidInput(f"{path} is not a valid ONNX model: {reason}") from None
    if not proto.graph.node:
        raise InvalidInput(f"{path} holds an empty graph")
    return proto


def _refuse_custom_operators(proto: ModelProto) -> None:
    own = {function.domain for function in proto.functions}
    nodes = [*_nodes(proto.graph), *(node for function in proto.functions for node in function.node)]
    custom = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in nodes
            if node.domain not in PLAIN and node.domain not in own
        }
    )
    if custom:
        raise InvalidInput(
            f"the model uses operators outside of ONNX: {', '.join(custom)}. Export it without a runtime's "
            "own optimizations, or with these operators written as model-local functions."
        )


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _image_input(value: ValueInfoProto, path: Path) -> tuple[int, bool, int | None, int | None, int | None]:
    tensor = value.type.tensor_type
    dims = [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in tensor.shape.dim
    ]
    if tensor.elem_type not in FLOATS:
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise InvalidInput(
            f"{path} takes {value.name} of type {kind}; only floating-point images, normalized, can be fed "
            "to a model"
        )
    if len(dims) != 4:
        raise InvalidInput(f"{path} takes {value.name} of {len(dims)} dimensions; an image batch has four")
    first, last = dims[1] == 3, dims[3] == 3
    if first == last:
        shown = [dim or "any" for dim in dims]
        raise InvalidInput(
            f"{path} takes {value.name} {shown}: not clearly (batch, 3, height, width) or (batch, height, "
            "width, 3); export it again with the three channels fixed"
        )
    height, width = (dims[1], dims[2]) if last else (dims[2], dims[3])
    return tensor.elem_type, last, dims[0], height, width


def _last_operator(graph: GraphProto, name: str) -> str:
    producers = {output: node for node in graph.node for output in node.output}
    while name in producers:
        node = producers[name]
        if node.op_type not in PASSING:
            return node.op_type
        name = node.input[0]
    return ""


def sums_to_one(answers: Sequence[npt.NDArray[Any]]) -> bool:
    """Whether these are probabilities: 0 or more, adding up to 1 over the classes (second axis)."""
    return all(
        answer.min() >= 0 and bool(np.all(np.abs(answer.astype(np.float64).sum(axis=1) - 1) < 1e-3))
        for answer in answers
    )
