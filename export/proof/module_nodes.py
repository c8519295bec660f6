"""Which nodes of a graph belong to which call of which module of its network: the exporter notes on each node
the modules that it came from (`pkg.torch.onnx.name_scopes`).
"""

import ast
import re
from collections.abc import Sequence

from onnx import NodeProto

from regard.export.graph.metadata import SCOPES

# the served graph's attribute that holds the network; its path is the first part of every scope
WRAPPER = "network"

Calls = dict[str, list[list[NodeProto]]]  # module path -> for each call of it, its nodes


def calls_of(nodes: Sequence[NodeProto]) -> Calls:
    """The nodes of each call of each module: a call ends where a node of another module follows."""
    calls: Calls = {}
    previous: set[str] = set()
    for node in nodes:
        paths = set(paths_of(node))
        if not paths:
            continue  # added by the exporter for no module
        for path in paths:
            if path not in previous:
                calls.setdefault(path, []).append([])
            calls[path][-1].append(node)
        previous = paths
    return calls


def nodes_of_call(groups: list[list[NodeProto]], times: int, call: int) -> tuple[list[NodeProto], bool]:
    """The nodes of one of a module's calls, and whether they are this call's alone: calls that follow each
    other at once are told apart where they have the same operators.
    """
    if len(groups) == times:
        return groups[call], True
    nodes = [node for group in groups for node in group]
    operators = [node.op_type for node in nodes]
    length = len(nodes) // times
    if length and operators == operators[:length] * times:
        return nodes[call * length : (call + 1) * length], True
    return nodes, False


def users_of(nodes: Sequence[NodeProto]) -> dict[str, list[NodeProto]]:
    """The nodes that take each tensor."""
    users: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)
    return users


def leaving(own: Sequence[NodeProto], users: dict[str, list[NodeProto]]) -> list[str]:
    """The tensors that these nodes make for others, or for the graph's outputs."""
    inside = {id(node) for node in own}
    return [
        name
        for node in own
        for name in node.output
        if name and not (name in users and inside.issuperset(map(id, users[name])))
    ]


def paths_of(node: NodeProto) -> list[str]:
    """Paths of the modules that a node is in, outermost first; the network's own is empty."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
    # the last is the operator
    paths = [re.sub(r"@\d+", "", scope) for scope in ast.literal_eval(scopes)[:-1]]
    return [
        path.removeprefix(WRAPPER).removeprefix(".")
        for path in paths
        if path == WRAPPER or path.startswith(f"{WRAPPER}.")
    ]


def owner_of(constant: str) -> str:
    """Path of the module whose weight this is."""
    return constant.removeprefix(f"{WRAPPER}.").rpartition(".")[0]
