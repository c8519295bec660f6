"""What a graph computes inside its Loops. The exporter notes no modules there: only weights tell whose a node
is, and only values whether it agrees.
"""

from collections.abc import Iterator, Mapping

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto
from onnx.shape_inference import infer_shapes

from regard.contract.answers.kind import Array
from regard.export.graph.nodes import read_by

STEPS = "/steps"  # behind the name of a tensor inside: those of all iterations, stacked


def opened(model: ModelProto) -> ModelProto:
    """A copy whose Loops also give every tensor that they compute, stacked over their iterations."""
    copy = infer_shapes(model)
    for node, body in _loops(copy.graph):
        known = {each.name: each for each in (*body.value_info, *body.output)}
        for name in [name for inner in body.node for name in inner.output if name in known]:
            step, value = f"{name}{STEPS}", ValueInfoProto()
            value.CopyFrom(known[name])
            value.name = step
            body.node.add(op_type="Identity", input=[name], output=[step])
            body.output.append(value)
            node.output.append(step)
    return copy


def weights_inside(model: ModelProto) -> set[str]:
    """Names of what the Loops of a graph read from outside."""
    return {name for _, body in _loops(model.graph) for node in body.node for name in read_by(node)}


def steps_of(tensors: Mapping[str, Array]) -> list[Array]:
    """The tensors inside at each iteration, of those that a graph of `opened` gives."""
    return [step for name, stack in tensors.items() if name.endswith(STEPS) for step in stack]


def _loops(graph: GraphProto) -> Iterator[tuple[NodeProto, GraphProto]]:
    for node in graph.node:
        if node.op_type == "Loop":
            (body,) = (each.g for each in node.attribute if each.name == "body")
            yield node, body
