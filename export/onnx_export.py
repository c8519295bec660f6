"""From a network and its Card to a proven ONNX graph on disk.

check the Card against the network -> trace and translate -> write a draft -> certify it -> put it in place
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import onnxruntime
import onnxscript
import torch
from onnx import ModelProto
from torch import nn
from torch.fx.experimental import _config as tracing_config
from torch.nn.attention import SDPBackend, sdpa_kernel

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.names import CARD_FILE, CARD_METADATA, IMAGE, MODEL_FILE
from regard.contract.preprocess import Pixels
from regard.contract.whole_folder import whole_folder
from regard.errors import ExportError, InvalidInput
from regard.export.artifact import Artifact
from regard.export.contract import check_graph, check_network
from regard.export.departure import SCOPES, first_departure
from regard.export.parity import ParityError, certify
from regard.export.quiet import quiet
from regard.export.served_graph import ServedGraph, output_names
from regard.export.translations import TRANSLATIONS
from regard.export.trials import image_batch, trial_shapes
from regard.models.explain import Explain

OPSET = 20  # what ONNX Runtime, OpenVINO and TensorRT of today all take
STAGES = ("checking the Card", "tracing", "writing the draft", "certifying", "putting it in place")
TOOLS = {module.__name__: module.__version__ for module in (torch, onnx, onnxscript, onnxruntime)}
KEPT_METADATA = ("namespace", SCOPES)  # of a node; the rest quotes source code and paths of this machine


def export_onnx(
    network: nn.Module,
    card: Card,
    folder: Path,
    *,
    images: Sequence[Pixels],
    images_from: str = "the caller's images",
    explain: Explain | None = None,
    report: Callable[[str], None] = lambda stage: None,
) -> Artifact:
    """Export a network, prove the graph on real images, and write the artifact whole or not at all.

    Args:
        network: in evaluation mode, on the CPU; (B, 3, H, W) to logits (B, K), or (B, K, H, W) for
            segmentation.
        card: what it takes and answers.
        folder: where the artifact goes; an earlier one there is replaced in one step once the new one is
            proven.
        images: for the certificate, of any size.
        images_from: where they come from, for the record.
        explain: add an explanation as outputs: "weights" of attention, or a class activation map, "cam" or
            "gradcam".
        report: told each of STAGES as it begins.

    Raises:
        ParityError: the graph departs from the network; names the first departing layer and the draft, which
            is kept.
        ExportError: the network is not fit for export, the exporter refuses it, or the folder cannot be
            written.
        InvalidInput: the Card contradicts the network, or there are no images.
    """
    report(STAGES[0])
    if not images:
        raise InvalidInput("a certificate needs real images, and there are none; give a folder with --images")
    folder = folder.resolve()
    check_network(network, card)
    card = card.updated(certificates=(), tools=card.tools | TOOLS)
    with whole_folder(folder, files={MODEL_FILE, CARD_FILE}, keep=ParityError) as draft:
        report(STAGES[1])
        model = trace(network, card, images, explain=explain)
        report(STAGES[2])
        _describe(model, card)
        (draft / MODEL_FILE).write_bytes(model.SerializeToString())
        report(STAGES[3])
        try:
            certificates = certify(
                network, card, draft / MODEL_FILE, images=images, images_from=images_from, explain=explain
            )
        except ParityError as error:
            (draft / CARD_FILE).write_text(card.updated(certificates=error.certificates).to_json())
            departure = first_departure(
                network, card, draft / MODEL_FILE, image_batch(images, error.shape, card.input)
            )
            where = departure or (
                "none that can be matched; look at the input's normalization, the answer and the explanation"
            )
            message = f"{error}. First departing layer: {where}. The draft is kept in {draft}"
            raise ParityError(message, shape=error.shape, certificates=error.certificates) from None
        card = card.updated(certificates=certificates)
        (draft / CARD_FILE).write_text(card.to_json())
        artifact = Artifact(folder, card, sha256(draft / MODEL_FILE))
        report(STAGES[4])
    return artifact


def trace(
    network: nn.Module, card: Card, images: Sequence[Pixels], *, explain: Explain | None = None
) -> ModelProto:
    """The served graph of a network as ONNX, unproven.

    Raises:
        ExportError: it cannot be explained, PyTorch cannot trace it, an operator has no translation, or a
            dimension is not dynamic as the Card says.
    """
    names = output_names(network, card, explain=explain)
    dims = {0: "batch", 1: "height", 2: "width"} if card.input.dynamic_size else {0: "batch"}
    example = torch.from_numpy(image_batch(images, trial_shapes(card.input)[0], card.input))
    graph = ServedGraph(network, card, explain=explain)
    # one implementation of attention for every pass over the graph: another lays its answer out otherwise,
    # which a view then refuses
    with quiet(), sdpa_kernel(SDPBackend.MATH):
        # traced apart from torch.onnx.export, which would try again with dimensions made constant
        # oblivious of the example's sizes: a map that happens to be of size 1 in it would otherwise be taken
        # to be always so
        try:
            with tracing_config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
                traced = torch.export.export(
                    graph, (example,), dynamic_shapes=(dict.fromkeys(dims, torch.export.Dim.DYNAMIC),)
                )
        except Exception as error:  # whatever the network's own code meets under tracing; it ran well outside
            raise ExportError(f"{card.name} cannot be traced: {_reason(error)}") from error
        try:
            program = torch.onnx.export(
                traced,
                opset_version=OPSET,
                input_names=[IMAGE],
                output_names=names,
                dynamic_shapes=(dims,),
                custom_translation_table=TRANSLATIONS,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(f"{card.name} cannot be translated to ONNX: {_reason(error)}") from error
    assert program is not None  # as always with dynamo=True, the default
    model = program.model_proto
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("") != OPSET:
        raise ExportError(
            f"{card.name} came out in opset {opsets.get('')} instead of {OPSET}; it needs an operator that "
            f"{OPSET} lacks"
        )
    check_graph(model, card)
    return model


def _reason(error: BaseException) -> str:
    """The first line of the innermost cause, and the line of the network's code where tracing stopped, as far
    as they are known.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    places = re.findall(r"# File: (\S+:\d+) in ", str(getattr(error, "partial_fx_graph", "")))
    return lines[0] + (f" (at {places[-1]})" if places else "")


def _describe(model: ModelProto, card: Card) -> None:
    """Put the Card into the graph's metadata, and take out what quotes this machine's source code and
    paths.
    """
    for node in model.graph.node:
        kept = [entry for entry in node.metadata_props if entry.key in KEPT_METADATA]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.helper.set_model_props(model, {CARD_METADATA: card.to_json()})
