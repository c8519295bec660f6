"""Mixed precision: some nodes of a quantized graph as they were in float32."""

from collections.abc import Collection

from onnx import ModelProto, TensorProto

SUFFIX = ":float32"  # of a constant that the quantized graph holds in another form


def in_float32(quantized: ModelProto, original: ModelProto, nodes: Collection[str]) -> ModelProto:
    """A copy of the quantized graph whose `nodes` take the tensors that they take in the original one: what
    flows in between quantizers, and its very weights and biases.

    nodes: names in both graphs; nodes have names as of `regard.export.precision.layers.with_names`.
    """
    mixed = ModelProto()
    mixed.CopyFrom(quantized)
    before = {node.name: node for node in original.graph.node}
    constants = {each.name: each for each in original.graph.initializer}
    tensors = {name for node in mixed.graph.node for name in node.output} | {
        each.name for each in mixed.graph.input
    }
    added: dict[str, TensorProto] = {}
    for node in mixed.graph.node:
        if node.name not in nodes or node.name not in before:
            continue
        for place, name in enumerate(before[node.name].input):
            if name in constants:
                added.setdefault(name, constants[name])
                node.input[place] = name + SUFFIX
            elif name in tensors:
                node.input[place] = name
    for name, tensor in added.items():
        copy = mixed.graph.initializer.add()
        copy.CopyFrom(tensor)
        copy.name = name + SUFFIX
    _prune(mixed)
    return mixed


def _prune(model: ModelProto) -> None:
    """Take away the nodes and constants that nothing needs any more."""
    needed = {each.name for each in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            kept.append(node)
    constants = [each for each in model.graph.initializer if each.name in needed]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(constants)
