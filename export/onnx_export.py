"""From a network and its Card to a proven ONNX graph on disk.

check the Card against the network -> trace and translate -> write a draft -> certify it -> put it in place
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import onnxruntime
import onnxscript
import torch
from onnx import ModelProto
from torch import nn

from regard.contract.card import Card
from regard.contract.manifest import write_manifest
from regard.contract.names import CARD_FILE, MODEL_FILE
from regard.contract.preprocess import Pixels
from regard.contract.whole_folder import whole_folder
from regard.export.artifact import OWN_FILES, Artifact, check_fits, write_graph
from regard.export.graph.baked_sizes import watching_sizes
from regard.export.graph.check import check_graph, name_dims
from regard.export.graph.metadata import describe
from regard.export.graph.opset import OPSET
from regard.export.graph.served_graph import ServedGraph, output_names, with_state
from regard.export.graph.signature import dynamic_axes, inputs_of
from regard.export.graph.tracing import Input, to_onnx
from regard.export.network_check import check_network
from regard.export.ops.form import Form, in_form, tracing_in, translations
from regard.export.plain import plain
from regard.export.proof.bounds import FLOAT32
from regard.export.proof.certificate import certify, served_graph_runner
from regard.export.proof.comparison import ParityError
from regard.export.proof.departure import first_departure
from regard.export.proof.goldens import write_goldens
from regard.export.proof.neighbours import dependent_layer
from regard.export.proof.network_runner import NetworkRunner, entering
from regard.export.proof.reference_check import check_reference
from regard.export.proof.rollouts import in_steps
from regard.export.proof.text_trials import Texts
from regard.export.proof.trial import TRACED, Trial
from regard.export.proof.trials import trials_of
from regard.models.explain import Explain

TOOLS = {module.__name__: module.__version__ for module in (torch, onnx, onnxscript, onnxruntime)}


def export_onnx(
    network: nn.Module,
    card: Card,
    folder: Path,
    *,
    images: Sequence[Pixels] = (),
    images_from: str = "the caller's images",
    texts: Sequence[Texts] = (),
    explain: Explain | None = None,
    report: Callable[[str], None] = lambda stage: None,
) -> Artifact:
    """Export a network, prove the graph on real images and texts, and write the artifact whole or not at
    all.

    Args:
        network: in evaluation mode, on the CPU; the Card's inputs in their order to what its answer means, as
            `regard.models.scores.answer_in` finds it: (B, 3, H, W) to logits (B, K), or (B, K, H, W) for
            segmentation. With a state `step(x, *state)` and `initial_state(x)`. Weights of another floating
            type than float32 are exported in float32.
        card: what it takes and answers.
        folder: where the artifact goes; an earlier one there is replaced in one step once the new one is
            proven.
        images: for the certificate, of any size; none for a Card that takes texts alone.
        images_from: where they come from, for the record.
        texts: for the certificate, of each input that takes texts in each row; drawn from the vocabulary
            where there are none.
        explain: add an explanation as outputs: "weights" of attention, or a class activation map, "cam" or
            "gradcam".
        report: told each stage as it begins, such as "tracing" or "proving 2 of 3, batch 1 of 224 x 224".

    Raises:
        ParityError: the graph departs from the network; names the first departing layer and the draft, which
            is kept.
        ExportError: the network is not fit for export or too large for one ONNX file, the exporter refuses
            it, or the folder cannot be written.
        InvalidInput: the Card contradicts the network, there are no images, or the texts are not for it.
    """
    report("checking the network")
    trials = trials_of(images, card, texts=texts)
    folder = folder.resolve()
    check_fits(sum(value.nbytes for value in network.state_dict().values()), card.name)
    network = plain(network)
    card = check_network(network, card)
    check_reference(
        in_steps(NetworkRunner(network, card), card),
        trials,
        answer=card.answer,
        subject=f"the graph of {card.name}",
        tolerance=FLOAT32.error,
        layer=lambda trial, row: dependent_layer(network, card, trial, row),
    )
    card = card.updated(certificates=(), tools=card.tools | TOOLS)
    with whole_folder(folder, files=OWN_FILES, keep=ParityError) as draft:
        with watching_sizes() as sizes:
            model = trace(network, card, trials[0], explain=explain, report=report)
        report("writing the draft")
        describe(model, card)
        write_graph(model, draft / MODEL_FILE)
        reference = NetworkRunner(network, card, explain=explain)
        candidate = served_graph_runner(draft / MODEL_FILE, card)
        try:
            certificates = certify(reference, candidate, trials, images_from=images_from, report=report)
        except ParityError as error:
            (draft / CARD_FILE).write_text(card.updated(certificates=error.certificates).to_json())
            trial = next(trial for trial in trials if trial.shape == error.shape)
            departure = first_departure(network, card, draft / MODEL_FILE, trial.inputs)
            where = departure or "none that can be matched; look at the explanation"
            baked = (
                f" A size may be to blame: {sizes}." if error.shape != trials[0].shape and str(sizes) else ""
            )
            message = f"{error}. First departing layer: {where}.{baked} The draft is kept in {draft}"
            raise ParityError(message, shape=error.shape, certificates=error.certificates) from None
        card = card.updated(certificates=certificates)
        (draft / CARD_FILE).write_text(card.to_json())
        report("making the goldens")
        write_goldens(draft, card, images, texts, reference=reference, candidate=candidate)
        write_manifest(draft)
        artifact = Artifact(folder, card, candidate.sha256)
        report("putting it in place")
    return artifact


def trace(
    network: nn.Module,
    card: Card,
    example: Trial,
    *,
    explain: Explain | None = None,
    form: Form = "portable",
    report: Callable[[str], None] = lambda stage: None,
) -> ModelProto:
    """The served graph of a network as ONNX, unproven.

    form: of operators that are regard's or yours, see `regard.export.ops.form`.

    Raises:
        ExportError: it cannot be explained, PyTorch cannot trace it, an operator has no translation, or a
            dimension is not dynamic as the Card says.
    """
    rows = slice(TRACED if example.rollout else None)
    tensors = [torch.from_numpy(example.inputs[each.tensor][rows]) for each in card.inputs]
    if card.state is not None:
        tensors += with_state(network, card, entering(example.inputs, card, rows))
    inputs = {
        name: Input(tensor, dynamic_axes(value))
        for (name, value), tensor in zip(inputs_of(card).items(), tensors, strict=True)
    }
    with tracing_in(form):
        model = to_onnx(
            ServedGraph(network, card, explain=explain),
            inputs,
            output_names(network, card, explain=explain),
            opset=OPSET,
            name=card.name,
            translations=translations(),
            report=report,
        )
    model = in_form(model, form)
    name_dims(model, card)
    check_graph(model, card)
    return model
