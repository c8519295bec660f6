"""The argmax of a label map, cheaper in OpenVINO: taken over scores whose pixels lie in one row.

scores (B, K, H, W) -> Reshape (B, K, H W) -> ArgMax (B, H W) -> Reshape (B, H, W)

OpenVINO lays (B, K, H, W) out as its convolutions like it, the K scores of a pixel side by side, and looks
for the largest pixel by pixel. A row of pixels has no such layout: there each score's plane is one piece, and
one vector compares many pixels. The scores are the same numbers, and so are the labels, of equal scores too.
"""

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from regard.contract.names import LABEL_MAP

PREFIX = "cheap_tail/"  # of every name that is added
ONE_ROW = np.array([0, 0, -1])  # a shape for Reshape: the first two axes as they are, the others as one


def with_cheap_tail(model: ModelProto) -> ModelProto:
    """A copy of a served graph that makes the same label map by a cheaper argmax. A graph whose answer is no
    label map, or one without an argmax, is returned itself.
    """
    argmax = _argmax_of(model.graph)
    if argmax is None:
        return model
    cheaper = ModelProto()
    cheaper.CopyFrom(model)
    del cheaper.graph.node[:]
    for node in model.graph.node:
        cheaper.graph.node.extend(_in_one_row(node) if node == argmax else [node])
    return cheaper


def _argmax_of(graph: GraphProto) -> NodeProto | None:
    """The node that makes labels (B, H, W) of scores (B, K, H, W), which are then cast to the answer."""
    producers = {output: node for node in graph.node for output in node.output}
    found = producers.get(LABEL_MAP)
    while found is not None and found.op_type == "Cast":
        found = producers.get(found.input[0])
    if found is None or found.op_type != "ArgMax":
        return None
    settings = {each.name: each.i for each in found.attribute}
    return found if settings.get("axis") == 1 and settings.get("keepdims") == 0 else None


def _in_one_row(argmax: NodeProto) -> list[NodeProto]:
    (scores,), (labels,) = argmax.input, argmax.output
    one_row, row, chosen, batch, size, shape = (
        f"{PREFIX}{name}" for name in ("one_row", "row", "chosen", "batch", "size", "shape")
    )
    over_row = NodeProto()
    over_row.CopyFrom(argmax)
    over_row.input[0], over_row.output[0] = row, chosen
    return [
        helper.make_node("Constant", [], [one_row], value=numpy_helper.from_array(ONE_ROW)),
        helper.make_node("Reshape", [scores, one_row], [row]),
        over_row,
        helper.make_node("Shape", [scores], [batch], end=1),
        helper.make_node("Shape", [scores], [size], start=2),
        helper.make_node("Concat", [batch, size], [shape], axis=0),
        helper.make_node("Reshape", [chosen, shape], [labels]),
    ]
