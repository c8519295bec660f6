"""Where a graph departs from its network: the first step, in the order PyTorch runs them, whose result the
graph does not compute. Steps are the normalized input, each call of each layer, and the answer.

The exporter notes on each node the modules it came from (`pkg.torch.onnx.name_scopes`). Every module's result
in PyTorch is compared with what the nodes of the same call of that module compute: it agrees when one of
these tensors that leave the call is its result. Only nodes that the answer needs count: one that is bypassed
computes nothing.

Inside a Loop a layer agrees when a tensor of one of its iterations is its result.

A module without nodes of its own was folded into the next by the exporter (a convolution into its BatchNorm),
and is named together with the one that took it; or it hands its input on; or it is missing, and named itself
when what follows departs.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, numpy_helper
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from regard.contract.answers.kind import AnswerKind
from regard.contract.card import Card
from regard.contract.operators import operators_beside
from regard.export.graph.nodes import needed_for
from regard.export.proof.bounds import FLOAT32
from regard.export.proof.comparison import largest_difference, relative
from regard.export.proof.graph_runner import run_session, session_with
from regard.export.proof.inside_loops import opened, steps_of, weights_inside
from regard.export.proof.layer_results import LayerResult, layer_results
from regard.export.proof.module_nodes import (
    Calls,
    calls_of,
    leaving,
    nodes_of_call,
    owner_of,
    paths_of,
    users_of,
)
from regard.export.proof.network_runner import NetworkRunner, entering
from regard.export.proof.rollouts import InSteps
from regard.export.proof.runner import Arrays, CannotRun

Values = npt.NDArray[Any]
Tensors = dict[str, Values]  # of the graph, by name


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


def first_departure(network: nn.Module, card: Card, model: Path, inputs: Arrays) -> Departure | None:
    """Find the first departing step for a batch of the Card's inputs; None when every one that can be matched
    agrees.
    """
    graph, operators = onnx.load(model), operators_beside(model)
    runner = NetworkRunner(network, card)
    steps = (
        [inputs] if card.state is None else (taken for taken, _ in InSteps(runner, card.state).each(inputs))
    )
    return next(filter(None, (_departure_at(runner, graph, operators, step) for step in steps)), None)


def _departure_at(
    runner: NetworkRunner, graph: ModelProto, operators: Path | None, inputs: Arrays
) -> Departure | None:
    """The same for a batch, or a step with its state."""
    modules = dict(runner.network.named_modules())
    whole = opened(graph)
    nodes = needed_for(whole.graph, (value.name for value in whole.graph.output))
    names = sorted({name for node in nodes for name in node.output if name})
    try:
        values = run_session(session_with(whole, names, operators), names, inputs)
    except CannotRun as error:
        return _stopped(graph, modules, str(error))
    tensors = dict(zip(names, values, strict=True))
    constants = [numpy_helper.to_array(constant) for constant in graph.graph.initializer]
    answers: list[Arrays] = []
    results = layer_results(runner.network, lambda: answers.append(runner.run(inputs)))
    entered = [x.numpy() for x in entering(inputs, runner.card)]
    looped = {owner_of(name) for name in weights_inside(graph)}
    return (
        _input_departure(nodes, tensors, entered)
        or _layer_departure(nodes, tensors, constants, results, modules, looped)
        or _answer_departure(nodes, tensors, answers[0], runner.card.answer)
    )


def _input_departure(
    nodes: Sequence[NodeProto], tensors: Tensors, entered: Sequence[Values]
) -> Departure | None:
    """What enters the network: tensors made outside of it, of the normalized pixels' shape."""
    pixels = [values for values in entered if np.issubdtype(values.dtype, np.floating)]
    if not pixels:
        return None
    (expected,) = pixels
    inside = {name for node in nodes if paths_of(node) for name in node.output}
    entering = {name for node in nodes if paths_of(node) for name in node.input} - inside
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
    looped: set[str],
) -> Departure | None:
    """looped: paths of the modules whose weights are used inside Loops."""
    inside = steps_of(tensors)
    agreed = [each.path in looped and _holds(inside, each.values) for each in results]
    calls = calls_of(nodes)
    owners = {owner_of(name) for node in nodes for name in node.input}
    users = users_of(nodes)
    times = Counter(each.path for each, known in zip(results, agreed, strict=True) if not known)
    seen: Counter[str] = Counter()
    missing: list[str] = []  # since the last layer that agreed
    for turn, each in enumerate(results):
        path, result = each.path, each.values
        if agreed[turn]:
            missing.clear()
            continue
        if path in looped and path not in calls:
            if _folds(results[turn + 1 : turn + 2], modules):
                continue
            return _departure([path], modules, _nearest(inside, result))
        call, seen[path] = seen[path], seen[path] + 1
        if path not in calls:
            known = each.passed_on or path in owners or _holds([*tensors.values(), *constants], result)
            if not known:
                missing.append(path)
            continue
        own, alone = nodes_of_call(calls[path], times[path], call)
        candidates = [tensors[name] for name in leaving(own, users) if tensors[name].shape == result.shape]
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


def _answer_departure(
    nodes: Sequence[NodeProto], tensors: Tensors, answers: Arrays, answer: AnswerKind
) -> Departure | None:
    """What is served of the network's scores, which agree."""
    for name, expected in answers.items():
        if name not in tensors:
            continue  # the scores have another name in the graph
        found = tensors[name]
        error = (
            relative(largest_difference(expected, found), expected)
            if np.issubdtype(expected.dtype, np.floating)
            else 0.0
        )
        agreement = answer.agreement(expected, found) if name == answer.tensor else 1.0
        if not error <= FLOAT32.error or not agreement >= answer.min_agreement:
            maker = next(node for node in nodes if name in node.output)
            return Departure("the answer", maker.op_type, max(error, 1 - agreement))
    return None


def _folded(nodes: Iterable[NodeProto], path: str, modules: dict[str, nn.Module]) -> list[str]:
    """Paths of modules elsewhere whose weights these nodes use."""
    owners = {owner_of(name) for node in nodes for name in node.input}
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


def _folds(following: Sequence[LayerResult], modules: dict[str, nn.Module]) -> bool:
    """Whether the layer after one takes it in: the exporter folds a convolution into its BatchNorm."""
    return any(isinstance(modules[each.path], _BatchNorm) for each in following)


def _nearest(tensors: Iterable[Values], result: Values) -> float:
    """The least relative error of a tensor of the result's shape."""
    return min(
        (
            relative(largest_difference(result, tensor), result)
            for tensor in tensors
            if tensor.shape == result.shape
        ),
        default=float("inf"),
    )


def _outermost(path: str, calls: Calls) -> str:
    """The largest module around a missing one that is missing too."""
    parent = path.rpartition(".")[0]
    return _outermost(parent, calls) if parent and parent not in calls else path


def _stopped(graph: ModelProto, modules: dict[str, nn.Module], message: str) -> Departure | None:
    """The layer of the node that ONNX Runtime names as the one it stopped at."""
    named = re.search(r"Name:'([^']+)'", message)
    paths = next((paths_of(node) for node in graph.graph.node if named and node.name == named[1]), [])
    return _departure([paths[-1]], modules, float("inf")) if paths else None


def _departure(paths: list[str], modules: dict[str, nn.Module], error: float | None) -> Departure:
    kinds = [type(modules[path]).__name__ for path in paths]
    return Departure(" + ".join(path or "the network itself" for path in paths), " + ".join(kinds), error)
