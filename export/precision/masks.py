"""Masks: what Where puts in the place of scores that must not count. They are no numbers of the network:
float16's lowest does as well as float32's, and -inf is in both.
"""

from onnx import ModelProto, TensorProto, numpy_helper

from regard.export.graph.nodes import MOVING

MASK = -1e4  # and less: no score of a network


def masks_of(model: ModelProto) -> dict[str, float]:
    """The largest mask that a tensor holds, by the names of the tensors that hold any."""
    fills = _fills(model)
    masks: dict[str, float] = {}
    for node in model.graph.node:
        found = []
        if node.op_type == "Where":
            found = [fills[name] for name in node.input[1:] if name in fills]
        if node.op_type == "Where" or node.op_type in MOVING:
            found += [masks[name] for name in node.input if name in masks]
        if found:
            masks.update(dict.fromkeys(node.output, max(found)))
    return masks


def mask_constants(model: ModelProto) -> set[str]:
    """The constants that are masks wherever they are taken: one that is added to scores is not."""
    elsewhere = {name for node in model.graph.node if node.op_type != "Where" for name in node.input}
    return _fills(model).keys() - elsewhere


def _fills(model: ModelProto) -> dict[str, float]:
    """The constants that may be masks."""
    floats = [each for each in model.graph.initializer if each.data_type == TensorProto.FLOAT]
    values = {each.name: numpy_helper.to_array(each) for each in floats}
    return {name: value.item() for name, value in values.items() if value.size == 1 and value.item() <= MASK}
