"""A graph in float16 as a GPU computes it, for a CPU: each result is rounded to float16.

On a CPU, ONNX Runtime computes float16 in float32 and takes away the roundings in between: a number that is
too large for float16 passes through unharmed. So the graph is written out in float32, with each rounding as a
pair of casts, which it leaves in place. Inside a node sums are in float32, as they mostly are on a GPU.
"""

from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes

from regard.export.graph.nodes import MOVING, replace_nodes

# these give only numbers that they took
EXACT = MOVING | {"MaxPool", "Relu"}


def rounded(model: ModelProto) -> ModelProto:
    """A copy in float32 of a graph in float16 that gives what the graph gives, its roundings included."""
    copy = infer_shapes(model)
    graph = copy.graph
    halves = {
        value.name
        for value in (*graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16
    }
    for constant in graph.initializer:
        _widen(constant)
    nodes: list[NodeProto] = []
    for node in graph.node:
        _widen_settings(node)
        nodes.append(node)
        if node.op_type in EXACT:
            continue
        for place, name in enumerate(node.output):
            if name in halves:
                exact, half = f"{name}/exact", f"{name}/half"
                node.output[place] = exact
                nodes += [
                    helper.make_node("Cast", [exact], [half], to=TensorProto.FLOAT16),
                    helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT),
                ]
    replace_nodes(graph, nodes)
    del graph.value_info[:]
    return copy


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        values = numpy_helper.to_array(tensor).astype("float32")
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _widen_settings(node: NodeProto) -> None:
    for setting in node.attribute:
        if setting.HasField("t"):
            _widen(setting.t)
        if node.op_type == "Cast" and setting.name == "to" and setting.i == TensorProto.FLOAT16:
            setting.i = TensorProto.FLOAT
