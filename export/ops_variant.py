"""The variant `ops` of an artifact: its network with operators that are nodes and carry their bodies, which a
library of kernels speeds up. It is ONNX Runtime's alone: other runtimes know no such nodes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from regard.contract.answers.kind import Array
from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.goldens import ANSWERS_FILE, read_goldens, write_answers
from regard.contract.names import GOLDENS, MODEL_FILE, OPERATORS_FILE, VARIANTS
from regard.contract.preprocess import Pixels
from regard.contract.variant import VARIANT_FILE, Variant
from regard.contract.whole_file import write_text
from regard.errors import InvalidInput
from regard.export.artifact import Artifact, write_graph
from regard.export.graph.metadata import describe
from regard.export.graph.nodes import custom_operators
from regard.export.noise import noise_of
from regard.export.onnx_export import trace
from regard.export.op_library import check_library, put_library
from regard.export.ops import OPERATORS
from regard.export.ops.form import check_used, tracing_in
from regard.export.ops.kernels import library
from regard.export.ops.operator import MADE
from regard.export.plain import plain
from regard.export.proof.certificate import certify, served_graph_runner
from regard.export.proof.comparison import ParityError
from regard.export.proof.goldens import golden_answers
from regard.export.proof.network_runner import NetworkRunner
from regard.export.proof.runner import Runner
from regard.export.proof.text_trials import Texts
from regard.export.proof.trials import trials_of
from regard.export.state_check import stepped
from regard.export.variant import adding_variant
from regard.models.explain import Explain
from regard.models.explain.explainers import EXPLAINERS
from regard.models.padding import taken

NAME = "ops"


@dataclass(frozen=True)
class OpsVariant:
    """What was made. note: which of its operators no kernel speeds up, and why; "" for none."""

    folder: Path
    variant: Variant
    note: str


def add_ops_variant(
    artifact: Artifact,
    network: nn.Module,
    *,
    images: Sequence[Pixels],
    images_from: str = "the caller's images",
    texts: Sequence[Texts] = (),
    explain: Explain | None = None,
    op_library: Path | None = None,
    report: Callable[[str], None] = lambda stage: None,
) -> OpsVariant:
    """Trace a network again, by its operators, prove that graph like the artifact's own, and put it beside
    that.

    Args:
        artifact: the network's.
        network: in evaluation mode, on the CPU.
        images: for the certificate, of any size.
        images_from: where they come from, for the record.
        texts: likewise, as of `export_onnx`.
        explain: as in the artifact.
        op_library: kernels of the operators, a shared library for ONNX Runtime; by default regard's own, for
            regard's operators, where it can be built.
        report: told each stage as it begins.

    Raises:
        ParityError: the graph departs from the network; the draft is kept.
        ExportError: ONNX Runtime does not take the graph or the library; it cannot be written.
        InvalidInput: the network computes no such operator, or is another than the artifact's.
    """
    if op_library is not None:
        check_library(op_library)
    network, card = plain(network), artifact.card
    trials = trials_of(images, card, texts=texts)
    reference = NetworkRunner(network, card, explain=explain)
    if reference.sha256 != card.certificates[0].reference_sha256:
        raise InvalidInput(f"{artifact.folder} was exported from other weights; export the network anew")
    model = trace(network, card, trials[0], explain=explain, form="function", report=report)
    describe(model, card)
    operators = custom_operators(model)
    kernels, note = _kernels(op_library, operators)
    with adding_variant(artifact.folder, NAME) as draft:
        report("writing the draft")
        write_graph(model, draft / MODEL_FILE)
        if kernels is not None:
            put_library(kernels, draft)
        candidate = served_graph_runner(draft / MODEL_FILE, card)
        try:
            certificates = certify(reference, candidate, trials, images_from=images_from, report=report)
        except ParityError as error:
            message = f"the variant {NAME} of {card.name}: {error}. The draft is kept in {draft}"
            raise ParityError(message, shape=error.shape, certificates=error.certificates) from None
        variant = Variant(
            name=NAME,
            file=MODEL_FILE,
            operators=tuple(operators),
            operators_sha256=None if kernels is None else sha256(draft / OPERATORS_FILE),
            certificates=certificates,
        )
        write_answers(draft / ANSWERS_FILE, _golden_answers(artifact, candidate))
        write_text(draft / VARIANT_FILE, variant.model_dump_json(indent=2) + "\n")
    return OpsVariant(artifact.folder / VARIANTS / NAME, variant, note)


def check_computes_operators(network: nn.Module, card: Card, *, explain: Explain | None = None) -> None:
    """Refuse, before anything is exported, a network that `add_ops_variant` would refuse.

    Raises:
        InvalidInput: it computes no operator, or none once its weights are the explanation.
        ExportError: it has no such explanation.
    """
    inputs = taken(noise_of(card), card)
    with torch.no_grad(), tracing_in("function"), _Called() as called:
        EXPLAINERS[explain](network, *inputs) if card.state is None else stepped(network, card, inputs)
    check_used(called.operators)


class _Called(TorchDispatchMode):
    """While entered, notes the operators that are computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.operators |= {title for title, operator in MADE.items() if operator.target is func}
        return func(*args, **(kwargs or {}))


def _kernels(op_library: Path | None, operators: Sequence[str]) -> tuple[Path | None, str]:
    """The library to use, and what is to be said of operators that it may not hold."""
    regards = {operator.title for operator in OPERATORS}
    ours, others = ([title for title in operators if (title in regards) is own] for own in (True, False))
    if op_library is not None:
        note = f"{', '.join(ours)}: computed by the body unless {op_library.name} has a kernel"
        return op_library, note if ours else ""
    notes: list[str] = []
    kernels = library(notes.append) if ours else None
    if others:
        notes.append(f"{', '.join(others)}: computed by the body; give a library of kernels as op_library")
    return kernels, "; ".join(notes)


def _golden_answers(artifact: Artifact, candidate: Runner) -> dict[str, Array]:
    goldens = read_goldens(artifact.folder / GOLDENS)
    asked = {golden.name: golden.inputs(artifact.card) for golden in goldens}
    return golden_answers(asked, artifact.card, candidate)
