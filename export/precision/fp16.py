"""A graph in float32 to one in float16, for GPUs: pixels in and the answer out keep their types.

uint8 is cast to float16 at once, which holds 0 to 255 exactly. Nodes that must not leave float32 (see
`regard.export.precision.fp16_needs`) stay in it, and what passes between two of them is not rounded. All
tensors are typed, as TensorRT wants them.
"""

import sys
from collections.abc import Callable, Collection

import onnx
import onnx_ir
from onnx import ModelProto, TensorProto
from onnx.shape_inference import infer_shapes
from onnx_ir.passes.common import (
    IdentityEliminationPass,
    InlinePass,
    LiftConstantsToInitializersPass,
    RemoveUnusedNodesPass,
    TopologicalSortPass,
)

from regard.contract.names import CARD_METADATA
from regard.errors import ExportError
from regard.export.graph.nodes import inner_graphs, replace_nodes
from regard.export.precision.layers import with_names
from regard.export.precision.mixed import SUFFIX


def prepared(model: ModelProto) -> ModelProto:
    """A copy that `in_fp16` takes: without functions and Constant nodes, its nodes with names of their own,
    its tensors with types.

    Raises:
        ExportError: it has branches or loops.
    """
    graph = onnx_ir.from_proto(model)
    InlinePass()(graph)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(graph)
    plain = onnx_ir.to_proto(graph)
    if any(inner.node for inner in inner_graphs(plain.graph)):
        raise ExportError(
            "this graph has branches or loops (If, Loop, Scan), which regard does not convert to float16: "
            "serve it in float32, or export the model without them"
        )
    typed = infer_shapes(with_names(plain))
    constants = {each.name for each in typed.graph.initializer}
    values = [value for value in typed.graph.value_info if value.name not in constants]
    del typed.graph.value_info[:]  # of constants they would mislead the converter: it leaves some in float32
    typed.graph.value_info.extend(values)
    return typed


def in_fp16(model: ModelProto, kept: Collection[str]) -> ModelProto:
    """Convert a graph.

    Args:
        model: float32, of `prepared`; it stays as it is.
        kept: names of the nodes that stay in float32.

    Raises:
        ExportError: it cannot be converted.
    """
    half = ModelProto()
    half.CopyFrom(model)
    _give_own_constants(half, kept)
    half = _converter()(
        half, keep_io_types=True, disable_shape_infer=True, op_block_list=[], node_block_list=[*kept]
    )
    _cast_once(half)
    _do_not_round(half)
    del half.graph.value_info[:]
    settings = [entry for entry in half.metadata_props if entry.key != CARD_METADATA]
    del half.metadata_props[:]  # the Card is that of the artifact
    half.metadata_props.extend(settings)
    try:
        graph = onnx_ir.from_proto(half)
        for change in (TopologicalSortPass(), IdentityEliminationPass(), RemoveUnusedNodesPass()):
            change(graph)
        converted = infer_shapes(onnx_ir.to_proto(graph))
        onnx.checker.check_model(converted, full_check=True)
    except Exception as error:  # those of onnx and onnx_ir have no common base
        raise ExportError(f"this graph cannot be converted to float16: {error}") from error
    return converted


def _converter() -> Callable[..., ModelProto]:
    """ONNX Runtime's. Its package would make its modules importable by bare names, such as `models`."""
    path = [*sys.path]
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    finally:
        sys.path[:] = path
    convert: Callable[..., ModelProto] = convert_float_to_float16
    return convert


def _give_own_constants(model: ModelProto, kept: Collection[str]) -> None:
    """A constant that other nodes take as well would be rounded for those that stay in float32, too."""
    others = {name for node in model.graph.node if node.name not in kept for name in node.input}
    shared = {each.name: each for each in model.graph.initializer if each.name in others}
    copied: set[str] = set()
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if node.name in kept and name in shared and shared[name].data_type == TensorProto.FLOAT:
                node.input[place] = name + SUFFIX
                copied.add(name)
    for name in sorted(copied):
        copy = model.graph.initializer.add()
        copy.CopyFrom(shared[name])
        copy.name = name + SUFFIX


def _cast_once(model: ModelProto) -> None:
    """The converter casts a tensor anew for each node that stays in float32, always under the same name."""
    seen: set[str] = set()
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Cast" or node.output[0] not in seen:
            nodes.append(node)
        seen.update(node.output)
    replace_nodes(model.graph, nodes)


def _do_not_round(model: ModelProto) -> None:
    """Hand a tensor from one node in float32 to the next as it is, where the converter casts it to float16
    and back.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        rounding = producers.get(node.input[0]) if node.op_type == "Cast" else None
        if rounding is not None and rounding.input[0] == f"{node.input[0]}_cast_to_fp16":
            node.input[0] = rounding.input[0]
            node.op_type = "Identity"
            del node.attribute[:]
