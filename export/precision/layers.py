"""The nodes of a graph that are worth quantizing, and those that are left in float32 by name.

Left out are what comes before the first layer with weights (uint8 pixels to normalized ones) and what comes
after the last (the scores' resize, softmax or argmax). For TensorRT depthwise convolutions are left out too:
their activations are quantized per channel, which it does not take.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Literal

from onnx import ModelProto, NodeProto

Target = Literal["openvino", "tensorrt"]
WEIGHTY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def with_names(model: ModelProto) -> ModelProto:
    """A copy in which every node has a name of its own; names that are there already stay."""
    copy = ModelProto()
    copy.CopyFrom(model)
    taken: set[str] = set()
    for index, node in enumerate(copy.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{index}_unnamed"
        taken.add(node.name)
    return copy


def weight_of(node: NodeProto, constants: Container[str]) -> str | None:
    """The tensor of a layer's weights; None for a node that has none."""
    if node.op_type not in WEIGHTY:
        return None
    return next((name for name in node.input[:2] if name in constants), None)


def constants_of(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """The constant tensors by name, with their shapes."""
    constants = {each.name: tuple(each.dims) for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            value = next((entry.t for entry in node.attribute if entry.name == "value"), None)
            constants[node.output[0]] = () if value is None else tuple(value.dims)
    return constants


def left_in_float32(model: ModelProto, target: Target) -> list[str]:
    """The nodes that are not quantized, by name; nodes have names as of `with_names`."""
    constants = constants_of(model)
    nodes = list(model.graph.node)
    layers = {node.name for node in nodes if weight_of(node, constants)}
    behind = _reached(nodes, layers, lambda node: node.input, lambda node: node.output)
    before = _reached(nodes[::-1], layers, lambda node: node.output, lambda node: node.input)
    return [
        node.name
        for node in nodes
        if not (node.name in behind and node.name in before)
        or (target == "tensorrt" and _depthwise(node, constants))
    ]


def _reached(
    nodes: Iterable[NodeProto],
    start: Container[str],
    sources: Callable[[NodeProto], Sequence[str]],
    targets: Callable[[NodeProto], Sequence[str]],
) -> set[str]:
    """The nodes named in `start`, and those that have as a source what a reached one has as a target."""
    found: set[str] = set()
    tensors: set[str] = set()
    for node in nodes:
        if node.name in start or not tensors.isdisjoint(filter(None, sources(node))):
            found.add(node.name)
            tensors.update(targets(node))
    return found


def _depthwise(node: NodeProto, constants: dict[str, tuple[int, ...]]) -> bool:
    """Whether each output channel of a convolution sees one input channel, of several."""
    groups = next((entry.i for entry in node.attribute if entry.name == "group"), 1)
    return node.op_type == "Conv" and groups > 1 and constants.get(node.input[1], ())[1:2] == (1,)
