"""From an ONNX model that others exported to a proven, served one.

The model is put, as it is, between the pixels that a client sends and the answer it wants:

    image (B, H, W, 3) uint8 -> (image / 255 - mean) / std, in the model's own layout -> the model
        -> softmax, if it answers logits: probabilities (B, K)
        -> resized to the image, if it answers scores of another size, and argmax, if it answers scores:
        label_map (B, H, W) uint8

The certificate holds the result against the file as it was given, run on its own on real images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from regard.contract.card import Card, Certificate, Comparison
from regard.contract.digest import sha256
from regard.contract.names import ANSWERS, CARD_FILE, CARD_METADATA, IMAGE, MODEL_FILE, Task
from regard.contract.preprocess import Pixels
from regard.contract.whole_folder import whole_folder
from regard.errors import ExportError, InvalidInput
from regard.export.artifact import Artifact
from regard.export.contract import check_graph
from regard.export.given_model import FLOATS, GivenModel, GivenRunner, read_given, sums_to_one
from regard.export.onnx_export import OPSET
from regard.export.parity import MIN_AGREEMENT, TOLERANCE, ParityError, largest_difference, relative
from regard.export.runners import CannotRun, normalized, run_session, session_with
from regard.export.trials import Shape, image_batch, trial_shapes

OLDEST_OPSET = 15  # Shape of a part of the dimensions
PREFIX = "given/"  # keeps the model's names apart from the served graph's
SCORES = "regard/scores"
STAGES = ("reading the model", "writing the draft", "certifying", "putting it in place")

Kind = Literal["logits", "probabilities", "labels"]


@dataclass(frozen=True)
class Imported:
    """The artifact, and what was found out or changed on the way."""

    artifact: Artifact
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What the model's answer is.

    Attributes:
        kind: of the values.
        classes_last: scores (B, h, w, K) instead of (B, K, h, w).
        resize: the scores have another size than the image.
        drop: axes of length 1 to take out.
    """

    kind: Kind
    classes_last: bool = False
    resize: bool = False
    drop: tuple[int, ...] = ()


def import_onnx(
    path: Path,
    card: Card,
    folder: Path,
    *,
    images: Sequence[Pixels],
    images_from: str = "the caller's images",
    answer: str | None = None,
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
        report: told each of STAGES as it begins.

    Raises:
        InvalidInput: the model cannot be served, for a reason that is told, or the Card contradicts it.
        ParityError: the served graph departs from the model as given; the draft is kept.
        ExportError: ONNX Runtime does not take it, or the folder cannot be written.
    """
    report(STAGES[0])
    if not images:
        raise InvalidInput("a certificate needs real images, and there are none; give a folder with --images")
    folder = folder.resolve()
    given = read_given(path, answer)
    _check_size(given, card)
    runner = GivenRunner(given)
    shapes = trial_shapes(card.input)
    batches = [image_batch(images, shape, card.input) for shape in shapes]
    references = [
        _reference(runner, batch, shape, card) for batch, shape in zip(batches, shapes, strict=True)
    ]
    found = _find_answer(given, card, references, shapes)
    proto, notes = _at_opset(given)
    card = card.updated(
        certificates=(),
        tools=card.tools | {module.__name__: module.__version__ for module in (onnx, onnxruntime)},
    )
    with whole_folder(folder, files={MODEL_FILE, CARD_FILE}, keep=ParityError) as draft:
        report(STAGES[1])
        model = _wrapped(proto, given, found, card)
        helper.set_model_props(model, {CARD_METADATA: card.to_json()})
        _write(model, draft / MODEL_FILE)
        (draft / CARD_FILE).write_text(card.to_json())
        check_graph(model, card)
        report(STAGES[2])
        certificate = _certify(model, given, found, card, shapes, batches, references, images_from)
        card = card.updated(certificates=[certificate.model_dump()])
        (draft / CARD_FILE).write_text(card.to_json())
        if not certificate.passed:
            worst = max(
                certificate.comparisons,
                key=lambda c: c.max_error if c.max_error == c.max_error else float("inf"),
            )
            shape = Shape(worst.batch, worst.height, worst.width)
            message = (
                f"the served graph departs from {path} at {shape}: error {worst.max_error:.3g}, at most "
                f"{certificate.max_error:.3g} passes; agreement {worst.agreement:.2%}.{_batch_hint(given)} "
                f"The draft is kept in {draft}"
            )
            raise ParityError(message, shape=shape, certificates=(certificate,))
        artifact = Artifact(folder, card, sha256(draft / MODEL_FILE))
        report(STAGES[3])
    return Imported(artifact, (*notes, *_notes(given, found)))


def _check_size(given: GivenModel, card: Card) -> None:
    fixed = given.height is not None or given.width is not None
    if card.input.dynamic_size and fixed:
        size = f"{given.height or 'any'} x {given.width or 'any'}"
        raise InvalidInput(
            f"the Card says dynamic_size, {given.path} takes {size} only; set dynamic_size to false and "
            "resize to 'stretch'"
        )
    for what, taken, wanted in (
        ("height", given.height, card.input.height),
        ("width", given.width, card.input.width),
    ):
        if taken not in (None, wanted):
            raise InvalidInput(
                f"the Card says {what} {wanted}, {given.path} takes {what} {taken} only; correct the Card"
            )


def _reference(runner: GivenRunner, batch: Pixels, shape: Shape, card: Card) -> npt.NDArray[Any]:
    try:
        return runner.run(normalized(batch, card).numpy())
    except CannotRun as error:
        advice = (
            "correct the Card's size"
            if not card.input.dynamic_size
            else "correct the Card's min_size, or unset dynamic_size"
        )
        raise InvalidInput(f"{runner.given.path} itself stops at {shape}; {advice}: {error}") from None


def _find_answer(
    given: GivenModel, card: Card, references: Sequence[npt.NDArray[Any]], shapes: Sequence[Shape]
) -> Answer:
    """What the answers to the trials are.

    Raises:
        InvalidInput: nothing that the Card means.
    """
    classes, first = len(card.output.labels), references[0]
    wrong = (
        f"the Card of {card.name} means {card.task} in {classes} classes, {given.path} answers "
        f"{first.shape} for {shapes[0]}"
    )
    if any(
        np.issubdtype(answer.dtype, np.floating) and not np.isfinite(answer).all() for answer in references
    ):
        raise InvalidInput(
            f"{given.path} answers NaN or infinity to images normalized as the Card says; check its mean and "
            "std"
        )
    floating = np.issubdtype(first.dtype, np.floating)
    if card.task == "classification":
        drop = tuple(axis for axis in range(2, first.ndim) if first.shape[axis] == 1)
        if not floating or first.ndim - len(drop) != 2 or first.shape[1] != classes:
            raise InvalidInput(f"{wrong}, not floating-point scores ({shapes[0].batch}, {classes})")
        if given.last == "Sigmoid":
            raise InvalidInput(
                f"{given.path} ends in a sigmoid: classes that do not exclude each other; regard serves one "
                "class per image"
            )
        flat = [answer.reshape(len(answer), classes) for answer in references]
        return Answer(
            "probabilities" if given.last == "Softmax" or (classes > 1 and sums_to_one(flat)) else "logits",
            drop=drop,
        )
    if not floating:
        drop = (1,) if first.ndim == 4 and first.shape[1] == 1 else ()
        maps = [answer.reshape(len(answer), *answer.shape[2:]) if drop else answer for answer in references]
        if any(
            labels.shape != (shape.batch, shape.height, shape.width)
            for labels, shape in zip(maps, shapes, strict=True)
        ):
            raise InvalidInput(f"{wrong}, no label of each pixel")
        if not all(0 <= labels.min() <= labels.max() < classes for labels in maps):
            raise InvalidInput(
                f"{given.path} answers labels from {min(map(np.min, maps))} to {max(map(np.max, maps))}; "
                f"{classes} in the Card"
            )
        return Answer("labels", drop=drop)
    axes = [
        axis
        for axis in (1, 3)
        if first.ndim == 4 and all(answer.shape[axis] == classes for answer in references)
    ]
    if not axes:
        raise InvalidInput(f"{wrong}, no scores of each class and pixel")
    classes_last = axes == [3]
    sizes = [answer.shape[1:3] if classes_last else answer.shape[2:] for answer in references]
    resize = any(size != (shape.height, shape.width) for size, shape in zip(sizes, shapes, strict=True))
    return Answer("logits", classes_last=classes_last, resize=resize)


def _at_opset(given: GivenModel) -> tuple[ModelProto, list[str]]:
    """The model in OPSET where it is older and ONNX can convert it, and a note about it."""
    opset = next((entry.version for entry in given.proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset >= OPSET:
        return given.proto, [f"opset {opset} is kept"]
    try:
        return onnx.version_converter.convert_version(given.proto, OPSET), [
            f"converted from opset {opset} to {OPSET}"
        ]
    except Exception as error:  # the converter is C++, and raises RuntimeError and others
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if opset < OLDEST_OPSET:
            raise InvalidInput(
                f"{given.path} is of opset {opset}, and ONNX cannot convert it to {OPSET}: {reason}. Export "
                "it again."
            ) from None
        return given.proto, [f"opset {opset} is kept: it cannot be converted to {OPSET} ({reason})"]


def _wrapped(proto: ModelProto, given: GivenModel, found: Answer, card: Card) -> ModelProto:
    """The served graph around the model."""
    model = onnx.compose.add_prefix(proto, PREFIX)
    graph = model.graph
    before, constants = _preprocessing(given, card)
    after = _postprocessing(given, found, card.task)
    nodes = [*before, *(NodeProto.FromString(node.SerializeToString()) for node in graph.node), *after]
    for node in nodes:
        node.ClearField("doc_string")
        del node.metadata_props[:]  # they quote source code and paths of another machine
    # the shapes noted inside may be those of a fixed batch
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    size: list[str | int] = (
        ["height", "width"] if card.input.dynamic_size else [card.input.height, card.input.width]
    )
    graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["batch", *size, 3]))
    name = ANSWERS[card.task]
    if card.task == "classification":
        graph.output.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", len(card.output.labels)])
        )
    else:
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", *size]))
    for part in (graph, model):
        part.ClearField("doc_string")
        del part.metadata_props[:]
    model.ir_version = max(model.ir_version, helper.find_min_ir_version_for(list(model.opset_import)))
    return model


def _preprocessing(given: GivenModel, card: Card) -> tuple[list[NodeProto], list[TensorProto]]:
    """(image / 255 - mean) / std in one multiplication and one addition, in the model's layout and type."""
    mean, std = (np.array(values, dtype=np.float64) for values in (card.input.mean, card.input.std))
    shape = (1, 1, 1, 3) if given.channels_last else (1, 3, 1, 1)
    constants = {"regard/scale": 1 / (255 * std), "regard/shift": -mean / std}
    tensors = [
        numpy_helper.from_array(value.astype(np.float32).reshape(shape), name)
        for name, value in constants.items()
    ]
    nodes = [helper.make_node("Cast", [IMAGE], ["regard/pixels"], to=TensorProto.FLOAT)]
    if not given.channels_last:
        nodes.append(
            helper.make_node("Transpose", ["regard/pixels"], ["regard/channels_first"], perm=[0, 3, 1, 2])
        )
    nodes.append(helper.make_node("Mul", [nodes[-1].output[0], "regard/scale"], ["regard/scaled"]))
    nodes.append(helper.make_node("Add", ["regard/scaled", "regard/shift"], ["regard/normalized"]))
    nodes.append(
        helper.make_node("Cast", ["regard/normalized"], [f"{PREFIX}{given.image}"], to=given.elem_type)
    )
    return nodes, tensors


def _postprocessing(given: GivenModel, found: Answer, task: Task) -> list[NodeProto]:
    """From the model's answer to probabilities, or to a label map."""
    nodes: list[NodeProto] = []
    name = f"{PREFIX}{given.answer}"

    def then(operator: str, *inputs: str, result: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, list(inputs), [result], **attributes))
        return result

    if found.drop:
        axes = then("Constant", result="regard/axes", value_ints=list(found.drop))
        name = then("Squeeze", name, axes, result="regard/squeezed")
    if found.kind == "labels":
        then("Cast", name, result=ANSWERS[task], to=TensorProto.UINT8)
        return nodes
    if found.classes_last:
        name = then("Transpose", name, result="regard/classes_first", perm=[0, 3, 1, 2])
    name = then("Cast", name, result="regard/answer" if found.resize else SCORES, to=TensorProto.FLOAT)
    if found.resize:
        then("Shape", name, result="regard/batch_and_classes", start=0, end=2)
        then("Shape", IMAGE, result="regard/size", start=1, end=3)
        sizes = then("Concat", "regard/batch_and_classes", "regard/size", result="regard/sizes", axis=0)
        name = then(
            "Resize",
            name,
            "",
            "",
            sizes,
            result=SCORES,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
    if task == "classification":
        then(
            "Softmax" if found.kind == "logits" else "Identity",
            name,
            result=ANSWERS[task],
            **({"axis": 1} if found.kind == "logits" else {}),
        )
    else:
        labels = then("ArgMax", name, result="regard/labels", axis=1, keepdims=0)
        then("Cast", labels, result=ANSWERS[task], to=TensorProto.UINT8)
    return nodes


def _write(model: ModelProto, path: Path) -> None:
    try:
        path.write_bytes(model.SerializeToString())
    except ValueError:  # protobuf's
        raise ExportError(
            "the model is larger than the 2 GB that an ONNX file in one piece can hold"
        ) from None
    onnx.checker.check_model(path)


def _certify(
    model: ModelProto,
    given: GivenModel,
    found: Answer,
    card: Card,
    shapes: Sequence[Shape],
    batches: Sequence[Pixels],
    references: Sequence[npt.NDArray[Any]],
    images_from: str,
) -> Certificate:
    """Compare the served graph's scores and answers with those of the model as given."""
    tensors = [ANSWERS[card.task], *([] if found.kind == "labels" else [SCORES])]
    session = session_with(model, tensors)
    comparisons, largest = [], 0.0
    for shape, batch, reference in zip(shapes, batches, references, strict=True):
        try:
            results = run_session(session, tensors, batch)
        except CannotRun as error:
            raise ExportError(
                f"the served graph of {given.path} stops at {shape}.{_batch_hint(given)} {error}"
            ) from None
        departure, agreement, scale = _compare(
            results, _expected(reference, found, shape), found.kind, card.task
        )
        largest = max(largest, scale)
        comparisons.append(
            Comparison(
                batch=shape.batch,
                height=shape.height,
                width=shape.width,
                traced=shape.batch == given.batch,
                max_error=departure,
                relative_error=relative(departure, np.array([scale], dtype=np.float32)),
                agreement=agreement,
            )
        )
    return Certificate(
        reference=(
            f"{given.path.name} as given, SHA-256 {given.digest[:12]}, in ONNX Runtime "
            f"{onnxruntime.__version__}"
        ),
        candidate=f"the served graph in ONNX Runtime {onnxruntime.__version__} on the CPU",
        images=images_from,
        max_error=1 - MIN_AGREEMENT[card.task] if found.kind == "labels" else TOLERANCE * largest,
        min_agreement=MIN_AGREEMENT[card.task],
        comparisons=tuple(comparisons),
    )


def _expected(reference: npt.NDArray[Any], found: Answer, shape: Shape) -> npt.NDArray[Any]:
    """The reference as scores (B, K) or (B, K, H, W), or as labels (B, H, W)."""
    if found.drop:
        reference = reference.squeeze(found.drop)
    if found.kind == "labels":
        return reference
    scores = torch.from_numpy(np.asarray(reference, dtype=np.float32))
    if found.classes_last:
        scores = scores.permute(0, 3, 1, 2)
    if found.resize:
        scores = F.interpolate(scores, size=(shape.height, shape.width), mode="bilinear", align_corners=False)
    return scores.numpy()


def _compare(
    results: list[npt.NDArray[np.float32]], expected: npt.NDArray[Any], kind: Kind, task: Task
) -> tuple[float, float, float]:
    """Largest error of the scores, fraction of equal answers, and the largest reference score; a label map's
    error is 1 - agreement.
    """
    answer = results[0]
    if kind == "labels":
        agreement = _equal_fraction(answer, expected)
        return 1 - agreement, agreement, 1.0
    error = largest_difference(expected, results[1])
    if task == "segmentation":
        return error, _equal_fraction(answer, expected.argmax(axis=1)), float(np.abs(expected).max())
    probabilities = torch.from_numpy(expected).softmax(dim=1).numpy() if kind == "logits" else expected
    error = float(np.maximum(error, largest_difference(probabilities, answer)))
    return (
        error,
        _equal_fraction(answer.argmax(axis=1), expected.argmax(axis=1)),
        float(np.abs(expected).max()),
    )


def _equal_fraction(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    return float((one == other).mean()) if one.shape == other.shape else 0.0


def _batch_hint(given: GivenModel) -> str:
    if given.batch is None:
        return ""
    return (
        f" The model was exported for a batch of {given.batch}, which is part of it; export it again with "
        "a dynamic batch."
    )


def _notes(given: GivenModel, found: Answer) -> list[str]:
    layout = "(batch, height, width, 3)" if given.channels_last else "(batch, 3, height, width)"
    notes = [f"takes {given.image} {layout}, answers {found.kind} in {given.answer}"]
    if given.elem_type != TensorProto.FLOAT:
        notes.append(f"computes in {np.dtype(FLOATS[given.elem_type]).name}")
    if given.batch is not None:
        notes.append(f"exported for a batch of {given.batch}; proven at others")
    if found.resize:
        notes.append("its scores have another size than the image: resized bilinearly (half-pixel centres)")
    return notes
