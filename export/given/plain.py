"""A model that others exported, in the plain form that ONNX's own tools take: what it computes stays."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from onnx import GraphProto, ModelProto, NodeProto, inliner

from regard.errors import InvalidInput
from regard.export.graph.nodes import custom_operators, inner_graphs, nodes_of


def plain(model: ModelProto, *, name: str, library: bool = False) -> tuple[ModelProto, list[str]]:
    """The model with its nodes in the order they compute, its own functions written out, and without operator
    sets that nothing uses; and notes of what was done.

    Args:
        model: changed in place, or left.
        name: its file, for messages.
        library: there are kernels for its operators, so that its functions stay.

    Raises:
        InvalidInput: nodes need each other in a circle, a function cannot be written out, or an operator is
            none of ONNX's.
    """
    notes = []
    # the innermost first: sorting a graph copies what is inside
    moved = [_sort(graph, name) for graph in reversed((model.graph, *inner_graphs(model.graph)))]
    if any(moved):
        notes.append("its nodes are put in the order they compute")
    own = {function.domain for function in model.functions}
    if own and not library:
        model = _without_functions(model, name)
        notes.append("its own functions are written out")
    if not library:
        _refuse_custom_operators(model, name)
    used = {node.domain for node in nodes_of(model)}
    unused = [entry for entry in model.opset_import if entry.domain not in ("", "ai.onnx", *used)]
    for entry in unused:
        model.opset_import.remove(entry)
    if names := sorted({entry.domain for entry in unused} - own):
        notes.append(f"operator sets that nothing uses are dropped: {', '.join(names)}")
    return model, notes


def _sort(graph: GraphProto, name: str) -> bool:
    """Put the nodes behind those whose results they take, unless they already are."""
    makers = {output: index for index, node in enumerate(graph.node) for output in node.output if output}
    needs = {
        index: {makers[value] for value in _taken(node) if value in makers}
        for index, node in enumerate(graph.node)
    }
    if all(maker < index for index, makers in needs.items() for maker in makers):
        return False
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError:
        raise InvalidInput(
            f"{name} is not a valid ONNX model: its nodes need each other's results in a circle; "
            "export it again"
        ) from None
    nodes = [NodeProto.FromString(graph.node[index].SerializeToString()) for index in order]
    del graph.node[:]
    graph.node.extend(nodes)
    return True


def _taken(node: NodeProto) -> Iterator[str]:
    """The values that a node takes, those of its branches and loops included."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (value.name for value in graph.output)
            for inner in graph.node:
                yield from _taken(inner)


def _without_functions(model: ModelProto, name: str) -> ModelProto:
    try:
        inlined = inliner.inline_local_functions(model, convert_version=True)
    except Exception as error:  # it is C++, and raises RuntimeError and others
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"{name} has functions of its own that ONNX cannot write out: {reason}. Export it without them"
        ) from None
    own = {(function.domain, function.name) for function in inlined.functions}
    left = sorted({f"{n.domain}.{n.op_type}" for n in nodes_of(inlined) if (n.domain, n.op_type) in own})
    if left:
        raise InvalidInput(
            f"{name} has functions of its own that ONNX cannot write out: {', '.join(left)}. Export it "
            "without them"
        )
    return inlined


def _refuse_custom_operators(model: ModelProto, name: str) -> None:
    if custom := custom_operators(model):
        raise InvalidInput(
            f"{name} uses operators outside of ONNX: {', '.join(custom)}. Give the library with their "
            "kernels as op_library, export it with these operators written as model-local functions, or, "
            "where they are a runtime's own optimizations, without them."
        )
