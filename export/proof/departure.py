"""Where a graph departs from its network: the first step, in the order PyTorch runs them, whose result the
graph does not compute. Steps are the normalized input, each call of each layer, and the answer.

The exporter notes on each node the modules it came from (`pkg.torch.onnx.name_scopes`). Every module's result
in PyTorch is compared with what the nodes of the same call of that module compute: it agrees when one of
these tensors that leave the call is its result. Only nodes that the answer needs count: one that is bypassed
computes nothing.

A module without nodes of its own was folded into the next by the exporter (a convolution into its BatchNorm),
and is named together with the one that took it; or it hands its input on; or it is missing, and named itself
when what follows departs.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import ModelProto, NodeProto, numpy_helper
from torch import Tensor, nn

from regard.contract.answers.kind import AnswerKind
from regard.contract.card import Card
from regard.contract.names import IMAGE
from regard.contract.operators import operators_beside
from regard.contract.preprocess import Pixels
from regard.export.graph.metadata import SCOPES
from regard.export.proof.bounds import FLOAT32
from regard.export.proof.comparison import largest_difference, relative
from regard.export.proof.graph_runner import run_session, session_with
from regard.export.proof.layer_results import LayerResult, layer_results
from regard.export.proof.network_runner import answered, normalized
from regard.export.proof.runner import SCORES, CannotRun
from regard.models.padding import continued, placed

# the served graph's attribute that holds the network; its path is the first part of every scope
WRAPPER = "network"


Values = npt.NDArray[Any]
Tensors = dict[str, Values]  # of the graph, by name
Calls = dict[str, list[list[NodeProto]]]  # module path -> for each call of it, its nodes


@dataclass(frozen=True)
class Departure:
    """The first departing step: a layer's path, "the input" or "the answer"; its class or operator; and its
    largest error over its largest value.

    The error is infinite where the graph gives a tensor of another shape, or stops, and None where the graph
    lacks the layer.
    """

    layer: str
    kind: str
    relative_error: float | None

    def __str__(self) -> str:
        if self.relative_error is None:
            how = "which the graph lacks"
        elif np.isinf(self.relative_error):
            how = "which gives another shape or stops"
        else:
            how = f"relative error {self.relative_error:.3g}"
        return f"{self.layer} ({self.kind}), {how}"


def first_departure(network: nn.Module, card: Card, model: Path, batch: Pixels) -> Departure | None:
    """Find the first departing step for an image batch (B, H, W, 3); None when every one that can be matched
    agrees.
    """
    graph = onnx.load(model)
    modules = dict(network.named_modules())
    nodes = _live(graph)
    names = sorted({name for node in nodes for name in node.output if name})
    try:
        values = run_session(session_with(graph, names, operators_beside(model)), names, {IMAGE: batch})
    except CannotRun as error:
        return _stopped(graph, modules, str(error))
    tensors = dict(zip(names, values, strict=True))
    constants = [numpy_helper.to_array(constant) for constant in graph.graph.initializer]
    x = normalized(batch, card)
    results = layer_results(network, continued(x, card.input.pad_to))
    return (
        _input_departure(nodes, tensors, x.numpy())
        or _layer_departure(nodes, tensors, constants, results, modules)
        or _answer_departure(nodes, tensors, placed(_scores(results), x, card), card.answer)
    )


def _input_departure(nodes: Sequence[NodeProto], tensors: Tensors, expected: Values) -> Departure | None:
    """What enters the network: tensors made outside of it, of the normalized image's shape."""
    inside = {name for node in nodes if _paths(node) for name in node.output}
    entering = {name for node in nodes if _paths(node) for name in node.input} - inside
    errors = [
        relative(largest_difference(expected, tensors[name]), expected)
        for name in sorted(entering & tensors.keys())
        if tensors[name].shape == expected.shape
    ]
    if all(error <= FLOAT32.error for error in errors):
        return None
    return Departure("the input", "normalization", float(np.max(errors)))


def _layer_departure(
    nodes: Sequence[NodeProto],
    tensors: Tensors,
    constants: Sequence[Values],
    results: Sequence[LayerResult],
    modules: dict[str, nn.Module],
) -> Departure | None:
    calls = _calls(nodes)
    owners = {_owner(name) for node in nodes for name in node.input}
    users = _users(nodes)
    times = Counter(result.path for result in results)
    seen: Counter[str] = Counter()
    missing: list[str] = []  # since the last layer that agreed
    for each in results:
        path, result = each.path, each.values
        call, seen[path] = seen[path], seen[path] + 1
        if path not in calls:
            known = each.passed_on or path in owners or _holds([*tensors.values(), *constants], result)
            if not known:
                missing.append(path)
            continue
        own, alone = _nodes_of_call(calls[path], times[path], call)
        candidates = [tensors[name] for name in _leaving(own, users) if tensors[name].shape == result.shape]
        made = [tensors[name] for node in own for name in node.output if name]
        # a following reshape may have been merged into the call's last node
        candidates = candidates or [tensor for tensor in made if tensor.shape == result.shape]
        errors = [relative(largest_difference(result, tensor), result) for tensor in candidates]
        if not errors and alone and made[-1].ndim == result.ndim and not any(modules[path].children()):
            # of another shape, and not because the exporter dropped a reshape or merged it with the next
            # layer's
            errors = [float("inf")]
        if errors and not any(error <= FLOAT32.error for error in errors):
            if missing:
                return _departure([_outermost(missing[0], calls)], modules, None)
            if len(own) < times[path] and not alone:
                return _departure([path], modules, None)
            return _departure([*_folded(own, path, modules), path], modules, float(np.min(errors)))
        if errors:
            missing.clear()
    return None


def _scores(results: Sequence[LayerResult]) -> Tensor:
    return torch.from_numpy(next(result.values for result in reversed(results) if not result.path))


def _answer_departure(
    nodes: Sequence[NodeProto], tensors: Tensors, scores: Tensor, answer: AnswerKind
) -> Departure | None:
    """What is served of the network's scores, which agree."""
    for name, expected in answered(scores, answer).items():
        if name not in tensors:
            continue  # the scores have another name in the graph
        found = tensors[name]
        error = (
            relative(largest_difference(expected, found), expected)
            if np.issubdtype(expected.dtype, np.floating)
            else 0.0
        )
        agreement = 1.0 if name == SCORES else answer.agreement(expected, found)
        if not error <= FLOAT32.error or not agreement >= answer.min_agreement:
            maker = next(node for node in nodes if name in node.output)
            return Departure("the answer", maker.op_type, max(error, 1 - agreement))
    return None


def _live(graph: ModelProto) -> list[NodeProto]:
    """The nodes that an output needs, in their order."""
    needed = {value.name for value in graph.graph.output}
    live = []
    for node in reversed(graph.graph.node):
        if needed.intersection(node.output):
            live.append(node)
            needed.update(node.input)
            needed.update(name for inner in _inner_nodes(node) for name in inner.input)
    return live[::-1]


def _inner_nodes(node: NodeProto) -> Iterator[NodeProto]:
    """Those of its branches and loops."""
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield inner
                yield from _inner_nodes(inner)


def _calls(nodes: Sequence[NodeProto]) -> Calls:
    """The nodes of each call of each module: a call ends where a node of another module follows."""
    calls: Calls = {}
    previous: set[str] = set()
    for node in nodes:
        paths = set(_paths(node))
        if not paths:
            continue  # added by the exporter for no module
        for path in paths:
            if path not in previous:
                calls.setdefault(path, []).append([])
            calls[path][-1].append(node)
        previous = paths
    return calls


def _nodes_of_call(groups: list[list[NodeProto]], times: int, call: int) -> tuple[list[NodeProto], bool]:
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


def _users(nodes: Sequence[NodeProto]) -> dict[str, list[NodeProto]]:
    """The nodes that take each tensor."""
    users: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)
    return users


def _leaving(own: Sequence[NodeProto], users: dict[str, list[NodeProto]]) -> list[str]:
    """The tensors that these nodes make for others, or for the graph's outputs."""
    inside = {id(node) for node in own}
    return [
        name
        for node in own
        for name in node.output
        if name and not (name in users and inside.issuperset(map(id, users[name])))
    ]


def _paths(node: NodeProto) -> list[str]:
    """Paths of the modules that a node is in, outermost first; the network's own is empty."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
    # the last is the operator
    paths = [re.sub(r"@\d+", "", scope) for scope in ast.literal_eval(scopes)[:-1]]
    return [
        path.removeprefix(WRAPPER).removeprefix(".")
        for path in paths
        if path == WRAPPER or path.startswith(f"{WRAPPER}.")
    ]


def _owner(constant: str) -> str:
    """Path of the module whose weight this is."""
    return constant.removeprefix(f"{WRAPPER}.").rpartition(".")[0]


def _folded(nodes: Iterable[NodeProto], path: str, modules: dict[str, nn.Module]) -> list[str]:
    """Paths of modules elsewhere whose weights these nodes use."""
    owners = {_owner(name) for node in nodes for name in node.input}
    return sorted(
        owner
        for owner in owners
        if owner in modules and owner and not f"{owner}.".startswith(f"{path}." if path else "")
    )


def _holds(tensors: Iterable[Values], result: Values) -> bool:
    """Whether one of them is the result, in whatever shape."""
    return any(
        tensor.size == result.size
        and np.issubdtype(tensor.dtype, np.floating)
        and relative(largest_difference(result.ravel(), tensor.ravel()), result) <= FLOAT32.error
        for tensor in tensors
    )


def _outermost(path: str, calls: Calls) -> str:
    """The largest module around a missing one that is missing too."""
    parent = path.rpartition(".")[0]
    return _outermost(parent, calls) if parent and parent not in calls else path


def _stopped(graph: ModelProto, modules: dict[str, nn.Module], message: str) -> Departure | None:
    """The layer of the node that ONNX Runtime names as the one it stopped at."""
    named = re.search(r"Name:'([^']+)'", message)
    paths = next((_paths(node) for node in graph.graph.node if named and node.name == named[1]), [])
    return _departure([paths[-1]], modules, float("inf")) if paths else None


def _departure(paths: list[str], modules: dict[str, nn.Module], error: float | None) -> Departure:
    kinds = [type(modules[path]).__name__ for path in paths]
    return Departure(" + ".join(path or "the network itself" for path in paths), " + ".join(kinds), error)
