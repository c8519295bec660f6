"""Models that others exported, as graphs of a few nodes: each must come out served and proven, or be refused
with the reason.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from tests.export.conftest import tiny_card
from tests.export.given_models import (
    CONVOLVED,
    DENSE,
    POOLED,
    RANDOM,
    SIDE,
    SOFT,
    WEIGHT,
    K,
    classifier,
    node,
    segmenter,
    write,
)
from typer.testing import CliRunner

from regard.contract.card import Card
from regard.contract.names import MODEL_FILE
from regard.contract.preprocess import Pixels
from regard.errors import ExportError, InvalidInput
from regard.export.artifact import read_artifact
from regard.export.given import frame
from regard.export.graph.served_graph import Normalize
from regard.export.onnx_import import import_onnx
from regard.export.proof.comparison import ParityError
from regard.export.proof.network_runner import normalized
from regard.serving.cli.app import app


def answers(folder: Path, card: Card, batch: Pixels) -> np.ndarray:
    """What the served model says to a batch."""
    session = onnxruntime.InferenceSession(folder / MODEL_FILE, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": batch})[0]


def original(path: Path, card: Card, batch: Pixels) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: normalized(batch, card).numpy()})[0]


def noise(*shape: int) -> Pixels:
    return RANDOM.integers(0, 256, (*shape, 3), dtype=np.uint8)


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_logits_become_probabilities(tmp_path: Path, images: list[Pixels]) -> None:
    path, card = write(tmp_path / "given.onnx", POOLED), classifier()
    imported = import_onnx(path, card, tmp_path / "out", images=images, images_from="samples")
    artifact = read_artifact(tmp_path / "out")
    assert artifact == imported.artifact
    (certificate,) = artifact.card.certificates
    assert certificate.reference.startswith("given.onnx as given")
    assert certificate.passed
    assert [row.batch for row in certificate.comparisons] == [2, 1, 6]
    assert "converted from opset 17 to 20" in imported.notes
    batch = noise(7, SIDE, SIDE)
    np.testing.assert_allclose(
        answers(tmp_path / "out", card, batch), softmax(original(path, card, batch)), atol=1e-6
    )


def test_probabilities_stay_as_they_are(tmp_path: Path, images: list[Pixels]) -> None:
    path, card = write(tmp_path / "given.onnx", SOFT), classifier()
    import_onnx(path, card, tmp_path / "out", images=images)
    batch = noise(2, SIDE, SIDE)
    np.testing.assert_allclose(answers(tmp_path / "out", card, batch), original(path, card, batch), atol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "options", "stride"),
    [
        (DENSE, {}, 1),
        (
            [*DENSE[:-1], node("ArgMax", ["features"], "scores", axis=1, keepdims=1)],
            {"answer_kind": TensorProto.INT64},
            1,
        ),
        ([node("Conv", ["x", "weight"], "scores", pads=[1, 1, 1, 1], strides=[2, 2])], {}, 2),
        ([*CONVOLVED, node("Transpose", ["features"], "scores", perm=[0, 2, 3, 1])], {}, 1),
    ],
    ids=["scores", "labels", "scores at half the size", "scores with the classes last"],
)
def test_segmenters(
    tmp_path: Path, images: list[Pixels], nodes: list[onnx.NodeProto], options: dict[str, Any], stride: int
) -> None:
    path, card = write(tmp_path / "given.onnx", nodes, **options), segmenter()
    imported = import_onnx(path, card, tmp_path / "out", images=images)
    assert any("resized" in note for note in imported.notes) == (stride == 2)
    assert imported.artifact.card.answer.upsampled_by == ("bilinear" if stride == 2 else None)
    batch = noise(2, 32, 40)
    found, given = answers(tmp_path / "out", card, batch), original(path, card, batch)
    assert found.dtype == np.uint8
    assert found.shape == (2, 32, 40)
    if stride == 1:
        expected = (
            given[:, 0] if given.dtype == np.int64 else given.argmax(axis=1 if given.shape[1] == K else 3)
        )
        np.testing.assert_array_equal(found, expected)


def test_scores_are_resized_as_the_card_says(tmp_path: Path, images: list[Pixels]) -> None:
    nodes = [node("Conv", ["x", "weight"], "scores", pads=[1, 1, 1, 1], strides=[2, 2])]
    path, card = write(tmp_path / "given.onnx", nodes), segmenter()
    card = card.updated(answer=card.answer.model_dump() | {"upsampling": "nearest"})
    import_onnx(path, card, tmp_path / "out", images=images)
    batch = noise(2, 32, 40)
    expected = original(path, card, batch).argmax(axis=1).repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(answers(tmp_path / "out", card, batch), expected)


def test_channels_last_half_precision_and_the_served_names_inside(
    tmp_path: Path, images: list[Pixels]
) -> None:
    """The model's own tensors are called as those of the served graph."""
    nodes = [
        node("Transpose", ["x"], "image", perm=[0, 3, 1, 2]),
        node("Conv", ["image", "weight"], "label_map", pads=[1, 1, 1, 1]),
        node("GlobalAveragePool", ["label_map"], "pooled"),
        node("Flatten", ["pooled"], "probabilities"),
    ]
    shape, half = ["n", SIDE, SIDE, 3], TensorProto.FLOAT16
    path = write(
        tmp_path / "given.onnx",
        nodes,
        image=shape,
        kind=half,
        answer="probabilities",
        answer_kind=half,
        constants={"weight": WEIGHT.astype(np.float16)},
    )
    imported = import_onnx(path, classifier(), tmp_path / "out", images=images)
    assert "computes in float16" in imported.notes
    assert imported.artifact.card.certificates[0].passed


def test_a_batch_that_is_only_written_down_is_freed(tmp_path: Path, images: list[Pixels]) -> None:
    path, card = write(tmp_path / "given.onnx", POOLED, image=[1, 3, SIDE, SIDE]), classifier()
    import_onnx(path, card, tmp_path / "out", images=images)
    batch = noise(3, SIDE, SIDE)
    one_by_one = np.concatenate([original(path, card, batch[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(answers(tmp_path / "out", card, batch), softmax(one_by_one), atol=1e-6)


def test_a_batch_that_is_built_in_is_refused(tmp_path: Path, images: list[Pixels]) -> None:
    nodes = [*POOLED[:-1], node("Reshape", ["pooled", "shape"], "scores")]
    path = write(
        tmp_path / "given.onnx", nodes, image=[1, 3, SIDE, SIDE], constants={"shape": np.array([1, K])}
    )
    with pytest.raises(ExportError, match="exported for a batch of 1, which is part of it"):
        import_onnx(path, classifier(), tmp_path / "out", images=images)
    assert not (tmp_path / "out").exists()


def test_the_proof_can_fail(tmp_path: Path, images: list[Pixels], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another normalization in the served graph than in the reference."""
    other = Normalize(classifier(mean=(0.5, 0.4, 0.31)).input)
    monkeypatch.setattr(frame, "Normalize", lambda contract: other)
    path = write(tmp_path / "given.onnx", POOLED)
    with pytest.raises(ParityError, match=r"departs from given\.onnx as given.* at batch") as caught:
        import_onnx(path, classifier(), tmp_path / "out", images=images)
    assert not caught.value.certificates[0].passed
    assert not (tmp_path / "out").exists()
    assert (tmp_path / ".out.draft" / MODEL_FILE).is_file()


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        (POOLED, {"weight": WEIGHT * 0}, r"everything in the trials the same scores \(all of them 0\)"),
        (SOFT, {"weight": WEIGHT * 0}, r"everything in the trials the same probabilities \(0 apart"),
        (
            [
                *POOLED[:-1],
                node("Flatten", ["pooled"], "flat"),
                node("ReduceMean", ["flat"], "mean", axes=[0], keepdims=1),
                node("Sub", ["flat", "mean"], "scores"),
            ],
            {},
            r"depends on its neighbours in the batch\. given\.onnx as given",
        ),
    ],
    ids=["constant scores", "constant probabilities", "of the batch"],
)
def test_a_model_that_proves_nothing_is_refused(
    tmp_path: Path,
    images: list[Pixels],
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    message: str,
) -> None:
    path = write(tmp_path / "given.onnx", nodes, constants=constants)
    with pytest.raises(ExportError, match=message):
        import_onnx(path, classifier(), tmp_path / "out", images=images)
    assert not (tmp_path / "out").exists()


def second_input() -> tuple[onnx.ValueInfoProto, ...]:
    return (helper.make_tensor_value_info("threshold", TensorProto.FLOAT, []),)


@pytest.mark.parametrize(
    ("nodes", "options", "message"),
    [
        (POOLED, {"extra": second_input()}, r"2 inputs \(x, threshold\)"),
        (POOLED, {"outputs": ("pooled",)}, "2 outputs; name the answer to serve, one of scores, pooled"),
        ([node("Flatten", ["x"], "scores")], {"image": ["n", "c", "h", "w"]}, "fix its channels at export"),
        (
            POOLED,
            {"image": ["n", 1, "h", "w"], "constants": {"weight": WEIGHT[:, :1]}},
            "fix its channels at export",
        ),
        (POOLED, {"image": ["n", 3, 20, 20]}, "the Card says height 16, .* takes height 20"),
        (
            [node("Cast", ["x"], "f", to=1), *[node("Conv", ["f", "weight"], "y"), *POOLED[1:]]],
            {"kind": TensorProto.UINT8},
            "type uint8",
        ),
        (
            [*POOLED[:-1], node("Flatten", ["pooled"], "f"), node("Sigmoid", ["f"], "scores")],
            {},
            "set the Card's activation to 'sigmoid'",
        ),
        (DENSE, {}, r"means classification in 5 classes.*\(2, 5\)"),
        (
            [*POOLED, node("ArgMax", ["scores"], "best", axis=1, keepdims=0)],
            {"answer": "best", "answer_kind": TensorProto.INT64},
            "not floating-point scores",
        ),
        (
            [*POOLED[:-1], node("Gelu", ["pooled"], "scores", domain="com.microsoft")],
            {"domains": ("com.microsoft",)},
            r"outside of ONNX: com\.microsoft\.Gelu",
        ),
    ],
    ids=["inputs", "outputs", "layout", "grey", "size", "type", "sigmoid", "task", "labels", "operator"],
)
def test_what_cannot_be_served_is_refused(
    tmp_path: Path, images: list[Pixels], nodes: list[onnx.NodeProto], options: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "given.onnx", nodes, **options)
    with pytest.raises(InvalidInput, match=message):
        import_onnx(path, classifier(), tmp_path / "out", images=images)
    assert not (tmp_path / "out").exists()


def test_a_sigmoid_at_the_end(tmp_path: Path, images: list[Pixels]) -> None:
    """Its probabilities are served as they are; the same scores without it get one."""
    sigmoid = [*POOLED[:-1], node("Flatten", ["pooled"], "f"), node("Sigmoid", ["f"], "scores")]
    card = classifier()
    card = card.updated(answer=card.answer.model_dump() | {"activation": "sigmoid"})
    answers = []
    for name, nodes in (("with", sigmoid), ("without", POOLED)):
        path = write(tmp_path / f"{name}.onnx", nodes)
        imported = import_onnx(path, card, tmp_path / name, images=images)
        assert imported.artifact.card.certificates[0].passed
        session = onnxruntime.InferenceSession(imported.artifact.model)
        batch = np.stack([card.input.fit(image) for image in images[:2]])
        answers.append(session.run(["probabilities"], {"image": batch})[0])
    np.testing.assert_allclose(*answers, atol=1e-6)
    soft = write(tmp_path / "soft.onnx", SOFT)
    with pytest.raises(InvalidInput, match="set the Card's activation to 'softmax'"):
        import_onnx(soft, card, tmp_path / "soft", images=images)


def test_one_of_several_answers(tmp_path: Path, images: list[Pixels]) -> None:
    path = write(tmp_path / "given.onnx", POOLED, outputs=("pooled",))
    imported = import_onnx(path, classifier(), tmp_path / "out", images=images, answer="pooled")
    assert imported.artifact.card.certificates[0].passed
    with pytest.raises(InvalidInput, match="no output 'nothing'"):
        import_onnx(path, classifier(), tmp_path / "out", images=images, answer="nothing")


def test_the_card_and_the_model_disagree_about_size_and_labels(tmp_path: Path, images: list[Pixels]) -> None:
    fixed = write(tmp_path / "fixed.onnx", DENSE, image=["n", 3, 32, 48])
    with pytest.raises(InvalidInput, match="says dynamic_size"):
        import_onnx(fixed, segmenter(), tmp_path / "out", images=images)
    too_many = write(
        tmp_path / "labels.onnx",
        [*CONVOLVED, node("ArgMax", ["features"], "scores", axis=1, keepdims=0)],
        answer_kind=TensorProto.INT64,
    )
    with pytest.raises(InvalidInput, match="answers labels from"):
        import_onnx(too_many, tiny_card(labels=2), tmp_path / "out", images=images)


@pytest.mark.parametrize("content", [None, b"", b"not ONNX"])
def test_a_file_that_is_no_model(tmp_path: Path, images: list[Pixels], content: bytes | None) -> None:
    path = tmp_path / "given.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"given\.onnx"):
        import_onnx(path, classifier(), tmp_path / "out", images=images)


def test_the_command(tmp_path: Path) -> None:
    path, card = write(tmp_path / "given.onnx", POOLED), tmp_path / "card.json"
    card.write_text(classifier().to_json())
    arguments = ["import", str(path), "--card", str(card), "-o", str(tmp_path / "out")]
    shown = CliRunner().invoke(app, [*arguments, "--name", "renamed"], catch_exceptions=False).output
    assert "proven equal" in shown
    assert "converted from opset 17 to 20" in shown
    assert "answers logits in scores" in " ".join(shown.split())
    assert read_artifact(tmp_path / "out").card.name == "renamed"
    fields = json.loads(CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert fields["sha256"] == read_artifact(tmp_path / "out").sha256
    assert fields["card"]["certificates"]


def test_the_command_shows_the_numbers_of_a_failed_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Normalize(classifier(mean=(0.5, 0.4, 0.31)).input)
    monkeypatch.setattr(frame, "Normalize", lambda contract: other)
    path, card = write(tmp_path / "given.onnx", POOLED), tmp_path / "card.json"
    card.write_text(classifier().to_json())
    done = CliRunner().invoke(app, ["import", str(path), "--card", str(card), "-o", str(tmp_path / "out")])
    assert isinstance(done.exception, ParityError)
    assert "NOT equal" in done.output
    assert not (tmp_path / "out").exists()


def test_a_card_of_more_than_an_image_is_refused(tmp_path: Path, images: list[Pixels]) -> None:
    path = write(tmp_path / "model.onnx", POOLED)
    remembering = segmenter().updated(state={"tensors": [{"name": "seen", "dims": [1]}]})
    with pytest.raises(InvalidInput, match="carries a state: ONNX files are .* of an image alone"):
        import_onnx(path, remembering, tmp_path / "out", images=images)
    assert not (tmp_path / "out").exists()
