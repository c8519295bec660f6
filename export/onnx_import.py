"""From an ONNX model that others exported to a proven, served one.

read it and find out what it answers -> put the served graph around it -> certify that -> put it in place

The certificate holds the result against the file as it was given, run on its own on real images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto

from regard.contract.card import Card
from regard.contract.certificate import Certificate
from regard.contract.digest import sha256
from regard.contract.manifest import write_manifest
from regard.contract.names import CARD_FILE, MODEL_FILE
from regard.contract.operators import operators_beside
from regard.contract.preprocess import Pixels
from regard.contract.whole_folder import whole_folder
from regard.errors import InvalidInput
from regard.export.answer_size import stating_upsampling
from regard.export.artifact import OWN_FILES, Artifact, write_graph
from regard.export.given.answer import GivenAnswer, find_answer
from regard.export.given.model import GivenModel, read_given
from regard.export.given.reference import GivenRunner, GivenSession
from regard.export.given.wrap import wrapped
from regard.export.graph.check import check_graph
from regard.export.graph.opset import at_opset
from regard.export.image_alone import check_image_alone
from regard.export.op_library import check_library, put_library
from regard.export.proof.bounds import FLOAT32
from regard.export.proof.comparison import ParityError, prove
from regard.export.proof.goldens import write_goldens
from regard.export.proof.graph_runner import GraphRunner, scores_tensor
from regard.export.proof.reference_check import check_reference
from regard.export.proof.runner import SCORES, CannotRun
from regard.export.proof.trial import Trial
from regard.export.proof.trials import trials_of

TOOLS = {module.__name__: module.__version__ for module in (onnx, onnxruntime)}


@dataclass(frozen=True)
class Imported:
    """The artifact, and what was found out or changed on the way."""

    artifact: Artifact
    notes: tuple[str, ...]


def import_onnx(
    path: Path,
    card: Card,
    folder: Path,
    *,
    images: Sequence[Pixels],
    images_from: str = "the caller's images",
    answer: str | None = None,
    op_library: Path | None = None,
    report: Callable[[str], None] = lambda stage: None,
) -> Imported:
    """Wrap a model into the served graph, prove it against the file as it was given, and write the artifact
    whole or not at all.

    Args:
        path: the .onnx file; it takes normalized images (B, 3, H, W) or (B, H, W, 3) and answers logits,
            probabilities or a label map.
        card: what it takes and answers.
        folder: where the artifact goes, as of `export_onnx`.
        images: for the certificate, of any size.
        images_from: where they come from, for the record.
        answer: name of the output to serve, where there are several.
        op_library: a shared library for ONNX Runtime with kernels of the model's operators that are not
            ONNX's; it is copied beside the graph.
        report: told each stage as it begins, such as "proving 2 of 3, batch 1 of 224 x 224".

    Raises:
        InvalidInput: the model cannot be served, for a reason that is told, or the Card contradicts it.
        ParityError: the served graph departs from the model as given; the draft is kept.
        ExportError: ONNX Runtime does not take it, its answers prove nothing, or the folder cannot be
            written.
    """
    report("reading the model")
    if op_library is not None:
        check_library(op_library)
    check_image_alone(card, "ONNX files are taken of networks of an image alone; export the network itself")
    given = read_given(path, card.input, answer, op_library)
    _check_size(given, card)
    trials = trials_of(images, card, traced=given.image.batch)
    folder = folder.resolve()
    session = GivenSession(given, card)
    report("finding out what it answers")
    answers = [_answer(session, trial) for trial in trials]
    found = find_answer(given, card, answers, [trial.shape for trial in trials])
    reference = GivenRunner(session, found)
    check_reference(
        reference,
        trials,
        answer=card.answer,
        subject=f"the graph of {card.name}",
        tolerance=given.precision.error,
    )
    proto, note = at_opset(given.proto, name=str(path))
    card = stating_upsampling(card) if found.resize else card
    card = card.updated(certificates=(), tools=card.tools | TOOLS)
    with whole_folder(folder, files=OWN_FILES, keep=ParityError) as draft:
        model = wrapped(replace(given, proto=proto), found, card, report)
        report("writing the draft")
        write_graph(model, draft / MODEL_FILE)
        if op_library is not None:
            put_library(op_library, draft)
        onnx.checker.check_model(draft / MODEL_FILE)
        (draft / CARD_FILE).write_text(card.to_json())
        check_graph(model, card)
        candidate = _served(draft / MODEL_FILE, reference)
        try:
            certificates = _certify(reference, candidate, trials, images_from, report)
        except ParityError as error:
            (draft / CARD_FILE).write_text(card.updated(certificates=error.certificates).to_json())
            message = f"{error}.{_batch_hint(given)} The draft is kept in {draft}"
            raise ParityError(message, shape=error.shape, certificates=error.certificates) from None
        card = card.updated(certificates=certificates)
        (draft / CARD_FILE).write_text(card.to_json())
        report("making the goldens")
        write_goldens(draft, card, images, (), reference=reference, candidate=candidate)
        write_manifest(draft)
        artifact = Artifact(folder, card, candidate.sha256)
        report("putting it in place")
    return Imported(artifact, (*given.notes, note, *_notes(given, found, card)))


def _check_size(given: GivenModel, card: Card) -> None:
    height, width = given.image.height, given.image.width
    if card.input.dynamic_size and (height, width) != (None, None):
        raise InvalidInput(
            f"the Card says dynamic_size, {given.path} takes {height or 'any'} x {width or 'any'} only; set "
            "dynamic_size to false and resize to 'stretch'"
        )
    for what, taken, wanted in (("height", height, card.input.height), ("width", width, card.input.width)):
        if taken not in (None, wanted):
            raise InvalidInput(
                f"the Card says {what} {wanted}, {given.path} takes {what} {taken} only; correct the Card"
            )


def _answer(session: GivenSession, trial: Trial) -> npt.NDArray[Any]:
    try:
        return session.answer(trial.image)
    except CannotRun as error:
        advice = (
            "correct the Card's size"
            if not session.card.input.dynamic_size
            else "correct the Card's min_size and max_size, or unset dynamic_size"
        )
        raise InvalidInput(f"{session.given.path} itself stops at {trial.shape}; {advice}: {error}") from None


def _served(path: Path, reference: GivenRunner) -> GraphRunner:
    """The served graph, with scores where the model as given has some."""
    answer, model = reference.session.card.answer, onnx.load(path)
    scores = {SCORES: scores_tensor(model, answer)} if reference.found.kind == "logits" else {}
    return GraphRunner(
        model,
        {**scores, answer.tensor: answer.tensor},
        sha256=sha256(path),
        operators=operators_beside(path),
    )


def _certify(
    reference: GivenRunner,
    candidate: GraphRunner,
    trials: Sequence[Trial],
    images_from: str,
    report: Callable[[str], None],
) -> tuple[Certificate, ...]:
    """Compare the served graph with the model as given."""
    card = reference.session.card
    return prove(
        reference,
        candidate,
        trials,
        answer=card.answer,
        precision=reference.session.given.precision,
        subject=f"the graph of {card.name}",
        images_from=images_from,
        report=report,
    )


def _batch_hint(given: GivenModel) -> str:
    if given.image.batch is None:
        return ""
    return (
        f" The model was exported for a batch of {given.image.batch}, which is part of it; export it again "
        "with a dynamic batch."
    )


def _notes(given: GivenModel, found: GivenAnswer, card: Card) -> list[str]:
    image = given.image
    layout = "(batch, height, width, channels)" if image.channels_last else "(batch, channels, height, width)"
    notes = [f"takes {image.name} {layout}, answers {found.kind} in {given.answer}"]
    if given.operators:
        notes.append(f"computes {', '.join(given.operators)} by its library, in ONNX Runtime alone")
    if given.precision != FLOAT32:
        notes.append(f"computes in {given.precision.name}")
    elif image.elem_type != TensorProto.FLOAT:
        notes.append(f"takes {np.dtype(image.dtype).name}")
    if image.batch is not None:
        notes.append(f"exported for a batch of {image.batch}; proven at others")
    if found.resize:
        notes.append(f"its scores have another size than the image: resized by {card.answer.upsampled_by}")
    return notes
