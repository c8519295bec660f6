"""Every node of a model, at any depth, and other ones in their place."""

from collections.abc import Iterable, Iterator

from onnx import GraphProto, ModelProto, NodeProto

# these hand on numbers that they took, each once or more often
MOVING = {"Concat", "Expand", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
STANDARD = ("", "ai.onnx", "ai.onnx.ml")  # operator sets that every runtime knows


def nodes_of(model: ModelProto) -> Iterator[NodeProto]:
    """Its graph's, with those of the branches and loops inside, and its functions'."""
    for graph in (model.graph, *inner_graphs(model.graph)):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def replace_nodes(graph: GraphProto, nodes: Iterable[NodeProto]) -> None:
    """Give a graph other nodes; its own may be among them."""
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def custom_operators(model: ModelProto) -> list[str]:
    """The operators in its graph that are not ONNX's, each as `domain.name`; a model-local function of that
    name may say what one computes.
    """
    nodes = (node for graph in (model.graph, *inner_graphs(model.graph)) for node in graph.node)
    return sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in STANDARD})


def needed_for(graph: GraphProto, outputs: Iterable[str]) -> list[NodeProto]:
    """The nodes of a graph that some of its tensors need, in their order; not those inside of them."""
    needed, found = {*outputs}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            found.append(node)
            needed |= read_by(node)
    return found[::-1]


def read_by(node: NodeProto) -> set[str]:
    """The tensors that a node takes, and those that the graphs inside of it do."""
    inside = GraphProto(node=[node])
    return {*node.input} | {
        name for graph in inner_graphs(inside) for inner in graph.node for name in inner.input
    }


def inner_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The branches and loops inside a graph, at any depth."""
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield inner
                yield from inner_graphs(inner)
