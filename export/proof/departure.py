"""Where a graph departs from its network: the first layer, in the order PyTorch runs them, whose result the
graph does not compute.

The exporter notes on each node the modules it came from (`pkg.torch.onnx.name_scopes`). Every module's result
in PyTorch is compared with what the nodes of the same call of that module compute: it agrees when one of
these tensors is its result. A module that the exporter folded into the next
(a convolution into its BatchNorm) has no tensor of its own; it is named together with the one that took it.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import ModelProto, NodeProto
from torch import Tensor, nn

from regard.contract.card import Card
from regard.contract.names import IMAGE
from regard.contract.preprocess import Pixels
from regard.export.graph.metadata import SCOPES
from regard.export.proof.bounds import FLOAT32
from regard.export.proof.comparison import largest_difference, relative
from regard.export.proof.graph_runner import run_session, session_with
from regard.export.proof.network_runner import normalized
from regard.export.proof.runner import CannotRun

# the served graph's attribute that holds the network; its path is the first part of every scope
WRAPPER = "network"

Calls = dict[str, list[list[NodeProto]]]  # module path -> for each call of it, its nodes


@dataclass(frozen=True)
class Departure:
    """The first departing layer: its path, its class, and its largest error over its largest value.

    The error is infinite where the graph gives a tensor of another shape, or stops.
    """

    layer: str
    kind: str
    relative_error: float

    def __str__(self) -> str:
        how = (
            "which gives another shape or stops"
            if np.isinf(self.relative_error)
            else f"relative error {self.relative_error:.3g}"
        )
        return f"{self.layer} ({self.kind}), {how}"


def first_departure(network: nn.Module, card: Card, model: Path, batch: Pixels) -> Departure | None:
    """Find the first departing layer for an image batch (B, H, W, 3); None when every layer that can be
    matched agrees.
    """
    graph = onnx.load(model)
    modules = dict(network.named_modules())
    calls = _calls(graph)
    names = sorted(
        {name for runs in calls.values() for nodes in runs for node in nodes for name in node.output if name}
    )
    try:
        values = run_session(session_with(graph, names), names, {IMAGE: batch})
    except CannotRun as error:
        return _stopped(graph, modules, str(error))
    tensors = dict(zip(names, values, strict=True))
    results = _results(network, normalized(batch, card))
    times = Counter(path for path, _ in results)
    seen: Counter[str] = Counter()
    for path, result in results:
        call, seen[path] = seen[path], seen[path] + 1
        if len(calls.get(path, [])) != times[path]:
            continue  # folded away, or split in a way that leaves the calls unclear
        nodes = calls[path][call]
        candidates = [tensors[name] for node in nodes for name in node.output if name]
        errors = [
            relative(largest_difference(result, tensor), result)
            for tensor in candidates
            if tensor.shape == result.shape
        ]
        if not errors and candidates[-1].ndim == result.ndim and not any(modules[path].children()):
            # of another shape, and not because the exporter dropped a reshape or merged it with the next
            # layer's
            errors = [float("inf")]
        if errors and not any(error <= FLOAT32.error for error in errors):
            return _departure([*_folded(nodes, path, modules), path], modules, float(np.min(errors)))
    return None


def _results(network: nn.Module, x: Tensor) -> list[tuple[str, npt.NDArray[np.float32]]]:
    """Path and result of every module's every call, in the order they end."""
    results: list[tuple[str, npt.NDArray[np.float32]]] = []

    def remember(path: str) -> Any:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                results.append((path, output.numpy().copy()))  # an in-place ReLU may follow

        return hook

    handles = [module.register_forward_hook(remember(path)) for path, module in network.named_modules()]
    try:
        with torch.inference_mode():
            network(x)
    finally:
        for handle in handles:
            handle.remove()
    return results


def _calls(graph: ModelProto) -> Calls:
    """The nodes of each call of each module: a call ends where a node of another module follows."""
    calls: Calls = {}
    previous: set[str] = set()
    for node in graph.graph.node:
        paths = set(_paths(node))
        if not paths:
            continue  # added by the exporter for no module
        for path in paths:
            if path not in previous:
                calls.setdefault(path, []).append([])
            calls[path][-1].append(node)
        previous = paths
    return calls


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


def _folded(nodes: Iterable[NodeProto], path: str, modules: dict[str, nn.Module]) -> list[str]:
    """Paths of modules elsewhere whose weights these nodes use."""
    owners = [name.removeprefix(f"{WRAPPER}.").rpartition(".")[0] for node in nodes for name in node.input]
    return sorted(
        {
            owner
            for owner in owners
            if owner in modules and owner and not f"{owner}.".startswith(f"{path}." if path else "")
        }
    )


def _stopped(graph: ModelProto, modules: dict[str, nn.Module], message: str) -> Departure | None:
    """The layer of the node that ONNX Runtime names as the one it stopped at."""
    named = re.search(r"Name:'([^']+)'", message)
    paths = next((_paths(node) for node in graph.graph.node if named and node.name == named[1]), [])
    return _departure([paths[-1]], modules, float("inf")) if paths else None


def _departure(paths: list[str], modules: dict[str, nn.Module], error: float) -> Departure:
    kinds = [type(modules[path]).__name__ for path in paths]
    return Departure(" + ".join(path or "the network itself" for path in paths), " + ".join(kinds), error)
