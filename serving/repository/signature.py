"""The inputs and outputs of an exported graph, as Triton's configuration names them."""

from dataclasses import dataclass
from pathlib import Path

from onnx import TensorProto, ValueInfoProto

from regard.errors import InvalidInput
from regard.export.artifact import read_graph

DATA_TYPES: dict[int, str] = {
    TensorProto.BOOL: "TYPE_BOOL",
    TensorProto.UINT8: "TYPE_UINT8",
    TensorProto.INT32: "TYPE_INT32",
    TensorProto.INT64: "TYPE_INT64",
    TensorProto.FLOAT16: "TYPE_FP16",
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.DOUBLE: "TYPE_FP64",
}


@dataclass(frozen=True)
class Tensor:
    """One input or output. `dims` leave out the batch; -1 is any size."""

    name: str
    data_type: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """What goes into a graph and what comes out."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_signature(path: Path) -> Signature:
    """Read the inputs and outputs of an ONNX file.

    Raises:
        InvalidInput: not an ONNX file, or one without a dynamic batch in front of every tensor.
    """
    graph = read_graph(path).graph
    constants = {initializer.name for initializer in graph.initializer}
    return Signature(
        inputs=tuple(_tensor(value, path) for value in graph.input if value.name not in constants),
        outputs=tuple(_tensor(value, path) for value in graph.output),
    )


def _tensor(value: ValueInfoProto, path: Path) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim)
    if not shape or shape[0] != -1:
        raise InvalidInput(
            f"{value.name} of {path} has shape {list(shape)}, and the server needs a dynamic batch in "
            "front; export it with one"
        )
    if kind.elem_type not in DATA_TYPES:
        raise InvalidInput(
            f"{value.name} of {path} has ONNX type {kind.elem_type}, which no served model may take or give"
        )
    return Tensor(value.name, DATA_TYPES[kind.elem_type], shape[1:])
