"""What an ONNX model that others exported takes and gives, as its file says it."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, TensorProto

from regard.contract.digest import sha256
from regard.contract.pixels_input import PixelsInput
from regard.errors import InvalidInput
from regard.export.artifact import check_fits
from regard.export.given.image import GivenImage, given_image
from regard.export.given.plain import plain
from regard.export.graph.nodes import custom_operators, inner_graphs, nodes_of
from regard.export.proof.bounds import FLOAT16, FLOAT32, Precision

# they do not change what the values mean
PASSING = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Transpose")


@dataclass(frozen=True)
class GivenModel:
    """A model of one image input and one answer.

    Attributes:
        path: its file; external data beside it is in `proto`.
        proto: what is in it, in plain form.
        notes: what was done for that.
        image: its input.
        answer: name of the output to serve.
        last: type of the operator that makes the answer, "" where the graph hands an input through.
        precision: that it computes in, somewhere at least.
        digest: SHA-256 of the file.
        library: with kernels of its operators that are not ONNX's.
        operators: these operators, by domain and name.
    """

    path: Path
    proto: ModelProto
    notes: tuple[str, ...]
    image: GivenImage
    answer: str
    last: str
    precision: Precision
    digest: str
    library: Path | None
    operators: tuple[str, ...]


def read_given(
    path: Path, contract: PixelsInput, answer: str | None = None, library: Path | None = None
) -> GivenModel:
    """Read a model and refuse what cannot be served.

    Args:
        path: the file.
        contract: of its images.
        answer: the output to take, where there are several.
        library: with kernels of its operators that are not ONNX's.

    Raises:
        InvalidInput: not a valid ONNX model, or with operators of its own, several inputs or outputs, or an
            input that is no image.
        ExportError: it is too large.
    """
    proto, notes = _load(path, library)
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
    image = given_image(inputs[0], path, contract)
    return GivenModel(
        path=path,
        proto=proto,
        notes=tuple(notes),
        image=image,
        answer=name,
        last=_last_operator(proto.graph, name),
        precision=_computes_in(proto, image),
        digest=sha256(path),
        library=library,
        operators=tuple(custom_operators(proto)),
    )


def _load(path: Path, library: Path | None) -> tuple[ModelProto, list[str]]:
    try:
        proto = onnx.load(path)
        check_fits(sum(len(tensor.raw_data) for tensor in proto.graph.initializer), str(path))
        proto, notes = plain(proto, name=str(path), library=library is not None)
        onnx.checker.check_model(proto)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from None
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        reason = (str(error).strip().splitlines() or ["no ONNX"])[0]
        raise InvalidInput(f"{path} is not a valid ONNX model: {reason}") from None
    if not proto.graph.node:
        raise InvalidInput(f"{path} holds an empty graph")
    return proto, notes


def _computes_in(proto: ModelProto, image: GivenImage) -> Precision:
    """float16 where any of its tensors is."""
    tensors = [
        *(tensor for graph in (proto.graph, *inner_graphs(proto.graph)) for tensor in graph.initializer),
        *(attribute.t for node in nodes_of(proto) for attribute in node.attribute),
    ]
    types = {
        image.elem_type,
        *(tensor.data_type for tensor in tensors),
        *(
            a.i
            for node in nodes_of(proto)
            if node.op_type == "Cast"
            for a in node.attribute
            if a.name == "to"
        ),
    }
    return FLOAT16 if TensorProto.FLOAT16 in types else FLOAT32


def _last_operator(graph: GraphProto, name: str) -> str:
    producers = {output: node for node in graph.node for output in node.output}
    while name in producers:
        node = producers[name]
        if node.op_type not in PASSING:
            return node.op_type
        name = node.input[0]
    return ""
