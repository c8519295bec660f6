"""The blocks of a network, read from its graph: the modules that its weights are named after."""

from onnx import ModelProto

from regard.export.precision.layers import Target, constants_of, left_in_float32, weight_of

MOST = 28  # blocks


def blocks_of(model: ModelProto, target: Target) -> dict[str, tuple[str, ...]]:
    """The nodes that may be quantized, by block, in the graph's order.

    A block is named after its modules, as in `network.backbone.layer1.0`, as deep as leaves at most MOST of
    them; a node without weights belongs to the layer before it.

    model: nodes have names as of `regard.export.precision.layers.with_names`.
    """
    modules = _modules(model, target)
    names = _grouped(list(dict.fromkeys(modules.values())))
    blocks: dict[str, list[str]] = {}
    for node, module in modules.items():
        blocks.setdefault(names[module], []).append(node)
    return {name: tuple(nodes) for name, nodes in blocks.items()}


def _modules(model: ModelProto, target: Target) -> dict[str, str]:
    """The module of each node that may be quantized."""
    constants, left_out = constants_of(model), {*left_in_float32(model, target)}
    of_node: dict[str, str] = {}
    of_tensor: dict[str, str] = {}
    for node in model.graph.node:
        weight = weight_of(node, constants)
        before = (of_tensor[name] for name in node.input if name in of_tensor)
        module = weight.rpartition(".")[0] or weight if weight else next(before, None)
        if module is None:
            continue
        of_tensor.update(dict.fromkeys(node.output, module))
        if node.name not in left_out:
            of_node[node.name] = module
    return of_node


def _grouped(modules: list[str]) -> dict[str, str]:
    """The block of each module; where even their first names are too many, of runs of neighbours."""
    deepest = max((module.count(".") + 1 for module in modules), default=1)
    for depth in range(deepest, 0, -1):
        names = {module: ".".join(module.split(".")[:depth]) for module in modules}
        if len({*names.values()}) <= MOST:
            return names
    size = -(-len(modules) // MOST)
    runs = [modules[start : start + size] for start in range(0, len(modules), size)]
    return {module: f"{run[0]} to {run[-1]}" if run[1:] else module for run in runs for module in run}
