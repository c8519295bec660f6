"""The variant `ops`: of regard's operators or the user's, proven with its library."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from tests.export.conftest import TinyClassifier, seeded, tiny_card
from tests.exports import Exports
from tests.own_operator import FILES, OwnOperator, compiled
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.goldens import read_goldens
from regard.contract.manifest import write_manifest
from regard.contract.names import IMAGE
from regard.errors import ExportError, InvalidInput
from regard.export import ops_variant
from regard.export.artifact import Artifact
from regard.export.graph.nodes import custom_operators
from regard.export.onnx_export import export_onnx
from regard.export.onnx_import import import_onnx
from regard.export.ops_variant import add_ops_variant, check_computes_operators
from regard.export.proof.comparison import ParityError
from regard.export.sessions.open_artifact import open_artifact
from regard.export.variant import read_variant
from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.attention.local_window import LocalSelfAttention
from regard.models.parts.crop import crop
from regard.models.parts.footprint_attention import PatchwiseAttention
from regard.models.samples import sample_images
from regard.serving.cli.app import app


class Attentive(nn.Module):
    """Each of regard's operators; local attention at two sizes of the window, and with weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, stride=4)
        self.near, self.far = (PatchwiseAttention(16, side, r1=4, r2=1, share=4) for side in (1, 3))
        self.window = LocalSelfAttention(16, 3)
        self.cross = CrissCrossAttention(16, recurrence=1)
        self.classify = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.cross(self.window(self.near(self.stem(x)) + self.far(self.stem(x))))
        boxes = torch.tensor([[[0.0, 1.0, 5.0, 6.0]]])
        parts = crop(y, boxes, (4, 4))[:, 0]
        return self.classify(F.adaptive_avg_pool2d(parts, 1).flatten(1))


class Crossed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.window = LocalSelfAttention(8, 3)
        self.cross = CrissCrossAttention(8, recurrence=1)
        self.classify = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        parts = crop(self.cross(self.window(self.stem(x))), torch.tensor([[[0.0, 1.0, 5.0, 6.0]]]), (4, 4))[
            :, 0
        ]
        return self.classify(F.adaptive_avg_pool2d(parts, 1).flatten(1))


@pytest.fixture(scope="module")
def attentive(exports: Exports) -> tuple[nn.Module, Card, Artifact]:
    network, card = seeded(Attentive()), tiny_card("classification")
    nn.init.ones_(network.cross.gamma)
    nn.init.ones_(network.window.gamma)
    return network, card, exports.of(network, card, sample_images(card))


@pytest.fixture(autouse=True)
def no_kernels_of_regards(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(report):
        report("no kernels: none were wanted")

    monkeypatch.setattr(ops_variant, "library", none)


def test_every_operator_is_a_node_with_its_body(
    attentive: tuple[nn.Module, Card, Artifact], tmp_path: Path
) -> None:
    network, card, exported = attentive
    artifact = replace(exported, folder=Path(shutil.copytree(exported.folder, tmp_path / "a")))
    made = add_ops_variant(artifact, network, images=sample_images(card))
    graph = onnx.load(made.folder / "model.onnx")
    names = ["CrissCross", "LocalAttention", "LocalWeights", "Warp"]
    assert made.variant.operators == tuple(f"regard.{name}" for name in names)
    assert sorted(function.name for function in graph.functions) == names
    assert sum(node.op_type == "LocalAttention" for node in graph.graph.node) == 3
    assert custom_operators(onnx.load(artifact.model)) == []
    assert made.note == "no kernels: none were wanted"
    assert made.variant.proven
    assert made.variant.operators_sha256 is None
    read = read_variant(made.folder)
    session = open_artifact(read, threads=1)
    for golden in read_goldens(artifact.folder / "goldens", answers=made.folder / "answers.npz"):
        pixels = card.input.decode_and_fit(golden.encoded)[None]
        (answer,) = session.run(("probabilities",), {IMAGE: pixels})
        np.testing.assert_allclose(answer[0], golden.answer, atol=1e-6)
        np.testing.assert_allclose(golden.answer, golden.reference, atol=1e-5)


def test_an_explanation_by_weights_keeps_them(tmp_path: Path) -> None:
    network, card = seeded(Crossed()), tiny_card("classification")
    images = sample_images(card)
    artifact = export_onnx(network, card, tmp_path / "a", images=images, explain="weights")
    made = add_ops_variant(artifact, network, images=images, explain="weights")
    assert made.variant.operators == ("regard.Warp",)  # not what hides the weights
    assert len(made.variant.certificates) == 2


def test_weights_as_the_explanation_may_leave_no_operator() -> None:
    card, network = tiny_card("classification"), seeded(nn.Sequential(Crossed().stem, Crossed().cross))
    network.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)])
    check_computes_operators(network.eval(), card)
    with pytest.raises(InvalidInput, match="computes none of"):
        check_computes_operators(network, card, explain="weights")


def test_a_network_without_operators_is_told_which_there_are() -> None:
    card = tiny_card("classification")
    with pytest.raises(InvalidInput, match=r"computes none of .*regard\.CrissCross, regard\.LocalAttention"):
        check_computes_operators(seeded(TinyClassifier()), card)


def test_the_variant_is_of_the_artifacts_own_network(attentive: tuple[nn.Module, Card, Artifact]) -> None:
    _, card, artifact = attentive
    with pytest.raises(InvalidInput, match="exported from other weights"):
        add_ops_variant(artifact, Attentive().eval(), images=sample_images(card))


def test_a_users_operator_is_written_out_or_kept_with_its_library(
    place_gate: OwnOperator, tmp_path: Path
) -> None:
    own = place_gate
    check_computes_operators(own.network, own.card)
    assert custom_operators(onnx.load(own.artifact.model)) == []
    made = add_ops_variant(own.artifact, own.network, images=own.images, op_library=own.library)
    assert made.variant.operators == ("mine.PlaceGate",)
    assert made.variant.operators_sha256 == sha256(own.library) == sha256(made.folder / "operators.so")
    assert made.variant.certificates[0].candidate.endswith("with operators.so")
    assert made.note == ""
    (made.folder / "operators.so").write_bytes(own.library.read_bytes() + b"another")
    with pytest.raises(InvalidInput, match=r"operators\.so is not the file that was written there"):
        read_variant(made.folder)


def test_regards_library_is_not_put_beside_other_operators(place_gate: OwnOperator, tmp_path: Path) -> None:
    artifact = replace(place_gate.artifact, folder=tmp_path / "a")
    shutil.copytree(place_gate.artifact.folder, artifact.folder, ignore=shutil.ignore_patterns("variants"))
    made = add_ops_variant(artifact, place_gate.network, images=place_gate.images)
    assert made.note == "mine.PlaceGate: computed by the body; give a library of kernels as op_library"
    assert made.variant.operators_sha256 is None
    assert not (made.folder / "operators.so").exists()


def test_a_given_library_may_not_hold_regards_operators(
    attentive: tuple[nn.Module, Card, Artifact], place_gate: OwnOperator, tmp_path: Path
) -> None:
    network, card, exported = attentive
    artifact = replace(exported, folder=Path(shutil.copytree(exported.folder, tmp_path / "a")))
    made = add_ops_variant(artifact, network, images=sample_images(card), op_library=place_gate.library)
    assert made.note.startswith("regard.CrissCross, regard.LocalAttention, ")
    assert made.note.endswith("computed by the body unless libplace_gate.so has a kernel")


def test_a_kernel_that_computes_something_else_is_found(place_gate: OwnOperator, tmp_path: Path) -> None:
    own = place_gate
    wrong = FILES["place_gate.cc"].replace("std::pow(gate, power)", "std::pow(gate, power) * 1.01f")
    library = compiled(tmp_path, wrong)
    assert wrong != FILES["place_gate.cc"]
    with pytest.raises(ParityError, match="the variant ops of gated"):
        add_ops_variant(own.artifact, own.network, images=own.images, op_library=library)


@pytest.mark.parametrize("content", [None, b"no library"])
def test_what_is_no_library_is_refused(
    place_gate: OwnOperator, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "lib.so"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((InvalidInput, ExportError), match=r"lib\.so"):
        add_ops_variant(place_gate.artifact, place_gate.network, images=place_gate.images, op_library=path)


def test_a_given_graph_needs_the_library_of_its_operators(place_gate: OwnOperator, tmp_path: Path) -> None:
    own, path = place_gate, place_gate.bare(tmp_path / "bare.onnx")
    with pytest.raises(InvalidInput, match=r"outside of ONNX: mine\.PlaceGate\. Give .*op_library"):
        import_onnx(path, own.card, tmp_path / "refused", images=own.images)
    imported = import_onnx(path, own.card, tmp_path / "artifact", images=own.images, op_library=own.library)
    artifact = imported.artifact
    assert artifact.operators == artifact.folder / "operators.so"
    assert any("computes mine.PlaceGate by its library" in note for note in imported.notes)
    batch = np.stack([own.card.input.fit(image) for image in own.images[:2]])
    (found,) = open_artifact(artifact, threads=1).run(("probabilities",), {IMAGE: batch})
    (expected,) = open_artifact(own.artifact, threads=1).run(("probabilities",), {IMAGE: batch})
    np.testing.assert_allclose(found, expected, atol=1e-6)
    (artifact.folder / "operators.so").unlink()
    with pytest.raises(ExportError, match=r"PlaceGate"):
        open_artifact(artifact, threads=1)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_the_command_line_adds_the_variant(place_gate: OwnOperator, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    done = run(
        *("export", "place_gate:build", "--weights", "random", "-o", folder),
        *("--ops", "function", "--op-library", place_gate.library, "--json"),
    )
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)["ops"]
    assert facts["operators"] == ["mine.PlaceGate"]
    assert facts["folder"] == str(folder / "variants" / "ops")
    shown = run("show", folder)
    assert "mine.PlaceGate by operators.so" in shown.output
    refused = run("optimize", folder / "variants" / "ops", "--precision", "int8")
    assert refused.exit_code == 1
    assert "holds mine.PlaceGate, which ONNX Runtime alone runs" in " ".join(str(refused.exception).split())


def test_the_command_line_refuses_early(place_gate: OwnOperator, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    alone = run("export", "place_gate:build", "-o", folder, "--op-library", place_gate.library)
    assert "give both" in str(alone.exception)
    missing = run(
        *("export", "place_gate:build", "--weights", "random", "-o", folder),
        *("--ops", "function", "--op-library", tmp_path / "none.so"),
    )
    assert "there is no library of operators" in str(missing.exception)
    none = run(
        *("export", "se_resnet18?width=16", "--weights", "random", "-o", folder, "--ops", "function"),
    )
    assert isinstance(none.exception, InvalidInput)
    assert "computes none of" in str(none.exception)
    assert not folder.exists()


def test_a_variant_for_another_runtime_is_refused(place_gate: OwnOperator, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    shutil.copytree(place_gate.artifact.folder, folder, ignore=shutil.ignore_patterns("variants"))
    artifact = replace(place_gate.artifact, folder=folder)
    made = add_ops_variant(
        artifact, place_gate.network, images=place_gate.images, op_library=place_gate.library
    )
    changed = made.variant.model_copy(update={"runtime": "openvino"})
    (made.folder / "variant.json").write_text(changed.model_dump_json())
    write_manifest(made.folder, variant_of=sha256(folder / "manifest.json"))
    with pytest.raises(InvalidInput, match=r"mine\.PlaceGate, which ONNX Runtime alone runs, .* openvino"):
        read_variant(made.folder)
