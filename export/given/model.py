"""What an ONNX model that others exported takes and gives, as its file says it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

from regard.contract.digest import sha256
from regard.errors import InvalidInput
from regard.export.graph.nodes import nodes_of

FLOATS: dict[int, type[np.floating[Any]]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.DOUBLE: np.float64,
}
PLAIN = ("", "ai.onnx", "ai.onnx.ml")  # operator sets that every runtime knows
# they do not change what the values mean
PASSING = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Transpose")


@dataclass(frozen=True)
class GivenImage:
    """A model's input.

    Attributes:
        name: of the tensor (batch, channels, height, width), or (batch, height, width, channels) with
            `channels_last`.
        elem_type: a key of FLOATS.
        channels_last: the layout.
        batch, height, width: where they are fixed, None where any will do.
    """

    name: str
    elem_type: int
    channels_last: bool
    batch: int | None
    height: int | None
    width: int | None

    @property
    def rows(self) -> int:
        """The axis of the height; the width's is the next."""
        return 1 if self.channels_last else 2

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """The same type in numpy."""
        return FLOATS[self.elem_type]


@dataclass(frozen=True)
class GivenModel:
    """A model of one image input and one answer.

    Attributes:
        path: its file; external data beside it is in `proto`.
        proto: what is in it.
        image: its input.
        answer: name of the output to serve.
        last: type of the operator that makes the answer, "" where the graph hands an input through.
        digest: SHA-256 of the file.
    """

    path: Path
    proto: ModelProto
    image: GivenImage
    answer: str
    last: str
    digest: str


def read_given(path: Path, answer: str | None = None, *, channels: int = 3) -> GivenModel:
    """Read a model and refuse what cannot be served.

    Args:
        path: the file.
        answer: the output to take, where there are several.
        channels: of its images.

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
            f"{path} has {len(outputs)} outputs; name the answer to serve, one of {', '.join(outputs)}"
        )
    if answer is not None and answer not in outputs:
        raise InvalidInput(f"{path} has no output {answer!r}; it has {', '.join(outputs)}")
    name = answer or outputs[0]
    return GivenModel(
        path=path,
        proto=proto,
        image=_given_image(inputs[0], path, channels),
        answer=name,
        last=_last_operator(proto.graph, name),
        digest=sha256(path),
    )


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
    custom = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in nodes_of(proto)
            if node.domain not in PLAIN and node.domain not in own
        }
    )
    if custom:
        raise InvalidInput(
            f"the model uses operators outside of ONNX: {', '.join(custom)}. Export it without a runtime's "
            "own optimizations, or with these operators written as model-local functions."
        )


def _given_image(value: ValueInfoProto, path: Path, channels: int) -> GivenImage:
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
    first, last = dims[1] == channels, dims[3] == channels
    if first == last:
        shown = [dim or "any" for dim in dims]
        raise InvalidInput(
            f"{path} takes {value.name} {shown}: not clearly (batch, {channels}, height, width) or (batch, "
            f"height, width, {channels}); fix its channels at export, or correct the Card's"
        )
    height, width = (dims[1], dims[2]) if last else (dims[2], dims[3])
    return GivenImage(value.name, tensor.elem_type, last, batch=dims[0], height=height, width=width)


def _last_operator(graph: GraphProto, name: str) -> str:
    producers = {output: node for node in graph.node for output in node.output}
    while name in producers:
        node = producers[name]
        if node.op_type not in PASSING:
            return node.op_type
        name = node.input[0]
    return ""
