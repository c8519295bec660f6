"""Every node of a model, at any depth."""

from collections.abc import Iterator

from onnx import GraphProto, ModelProto, NodeProto


def nodes_of(model: ModelProto) -> Iterator[NodeProto]:
    """Its graph's, with those of the branches and loops inside, and its functions'."""
    yield from _nodes(model.graph)
    for function in model.functions:
        yield from function.node


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)
