"""From a PyTorch module to ONNX, by PyTorch's exporter and regard's own translations."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn
from torch.fx.experimental import _config as tracing_config
from torch.nn.attention import SDPBackend, sdpa_kernel

from regard.errors import ExportError
from regard.export.graph.baked_sizes import form_for, watching_sizes
from regard.export.graph.opset import rename_grid_modes
from regard.export.graph.quiet import quiet
from regard.export.graph.translations import TRANSLATIONS, Translations
from regard.models.own_code import place_of


@dataclass(frozen=True)
class Input:
    """An argument: an example, and the names of the axes that are dynamic; the others keep its size."""

    example: Tensor
    dims: dict[int, str]


def to_onnx(
    module: nn.Module,
    inputs: Mapping[str, Input],
    outputs: Sequence[str],
    *,
    opset: int,
    name: str,
    translations: Translations | None = None,
    report: Callable[[str], None] = lambda stage: None,
) -> ModelProto:
    """The module as an ONNX model.

    Args:
        module: in evaluation mode, on the CPU.
        inputs: the arguments by name, in order.
        outputs: names of the results, in order.
        opset: version of ONNX's operators.
        name: what is exported, for messages.
        translations: of other operators than PyTorch's.
        report: told of tracing and translating as each begins.

    Raises:
        ExportError: PyTorch cannot trace it, or an operator has no translation, or none in this opset.
    """
    examples = tuple(each.example for each in inputs.values())
    dynamic = _as_taken(
        module, tuple(dict.fromkeys(each.dims, torch.export.Dim.DYNAMIC) for each in inputs.values())
    )
    # one implementation of attention for every pass over the graph: another lays its answer out otherwise,
    # which a view then refuses
    report("tracing")
    with quiet(), sdpa_kernel(SDPBackend.MATH), watching_sizes() as sizes:
        # traced apart from torch.onnx.export, which would try again with dimensions made constant
        # oblivious of the example's sizes: a map that happens to be of size 1 in it would otherwise be taken
        # to be always so
        try:
            with tracing_config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
                traced = torch.export.export(module, examples, dynamic_shapes=dynamic)
        except Exception as error:  # whatever the network's own code meets under tracing; it ran well outside
            reason = f" for every size: {sizes}" if sizes.values else f": {_reason(error)}"
            raise ExportError(f"{name} cannot be traced{reason}") from error
        report("translating")
        try:
            program = torch.onnx.export(
                traced,
                opset_version=opset,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=_as_taken(module, tuple(each.dims for each in inputs.values())),
                custom_translation_table=TRANSLATIONS | (translations or {}),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(f"{name} cannot be translated to ONNX: {_reason(error)}") from error
    assert program is not None  # as always with dynamo=True, the default
    model = program.model_proto
    found = {entry.domain: entry.version for entry in model.opset_import}.get("")
    if found != opset:
        raise ExportError(
            f"{name} came out in opset {found} instead of {opset}; it needs an operator that {opset} lacks"
        )
    rename_grid_modes(model)
    return model


def _as_taken(module: nn.Module, each: tuple[Any, ...]) -> tuple[Any, ...]:
    """One entry for each argument, as the parameters of `forward` hold them: one for all where it is
    `*inputs`.
    """
    (kind, *_) = (parameter.kind for parameter in inspect.signature(module.forward).parameters.values())
    return (each,) if kind is inspect.Parameter.VAR_POSITIONAL else each


def _reason(error: BaseException) -> str:
    """The first line of the innermost cause, and the line of the network's code where tracing stopped, as far
    as they are known.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    places = re.findall(r"# File: (\S+:\d+) in ", str(getattr(error, "partial_fx_graph", "")))
    place = places[-1] if places else place_of(error)
    advice = f"; {form_for('numpy')}" if "numpy" in lines[0] else ""
    if re.search(r"No ONNX function found for .*op='(?!aten\.|prims\.)", lines[0]):
        advice = "; define it as a regard.export.ops.Operator, which says what it is in ONNX"
    return lines[0] + (f" (at {place})" if place else "") + advice
