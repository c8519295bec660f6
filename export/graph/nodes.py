"""Every node of a model, at any depth."""

from collections.abc import Iterator

from onnx import GraphProto, ModelProto, NodeProto


def nodes_of(model: ModelProto) -> Iterator[NodeProto]:
    """Its graph's, with those of the branches and loops inside, and its functions'."""
    for graph in (model.graph, *inner_graphs(model.graph)):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def inner_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The branches and loops inside a graph, at any depth."""
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield inner
                yield from inner_graphs(inner)
