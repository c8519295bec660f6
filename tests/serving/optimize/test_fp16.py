"""Variants in fp16: proven against PyTorch's answers and the float32 graph, in accuracy alone, and served."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from tests.exports import Exports
from tests.serving.optimize.conftest import LABELS, Colours, Images, card_of, coloured
from torch import Tensor
from typer.testing import CliRunner

from regard.contract.answers import Classes
from regard.contract.goldens import read_goldens
from regard.errors import InvalidInput
from regard.export.artifact import Artifact, read_artifact
from regard.export.proof.comparison import ParityError
from regard.export.tensorrt.engine import add_engine
from regard.export.tensorrt.target import target_of
from regard.export.variant import read_variant, variants_of
from regard.serving.cli.app import app
from regard.serving.local.model import LocalModel
from regard.serving.optimize.optimize import optimize
from regard.serving.repository import add, check_model
from regard.serving.show import page_of
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton
from regard.serving.verify.served import verify_served

ACCURACY_ONLY = "accuracy only: fp16 is for GPUs, and its speed is measured there"


def shown(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout


class LargeScores(Colours):
    """Every pixel becomes an average of those like it, by scores that are too large for float16 at first."""

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        columns = features.flatten(2)  # (B, 8, N)
        large = 500 * columns
        weights = (large.transpose(1, 2) @ large / 500**2).softmax(dim=2)
        return self.scores((columns @ weights.transpose(1, 2)).view_as(features)).mean(dim=(2, 3))


@pytest.fixture
def planted(exports: Exports, tmp_path: Path) -> Path:
    images = [coloured(label, 20_000) for label in LABELS]
    made = exports.of(LargeScores().eval(), card_of(Classes(labels=LABELS), "colours"), images)
    return Path(shutil.copytree(made.folder, tmp_path / "planted"))


def test_fp16(artifact: Path) -> None:
    made = optimize(artifact, "fp16")
    assert made.folder == artifact / "variants" / "fp16"
    assert variants_of(artifact) == (made.variant,)
    variant, own = made.variant, LocalModel(artifact).card.certificates[0]
    assert (variant.runtime, variant.precision, variant.file) == ("onnxruntime", "fp16", "model.onnx")
    assert (variant.judgement, variant.float32_blocks, made.float32) == (None, (), {})
    assert variant.accuracy_only
    network, graph = variant.certificates
    assert (network.reference, network.reference_sha256) == (own.reference, own.reference_sha256)
    assert len(network.comparisons) == len(read_goldens(artifact / "goldens"))
    assert graph.reference_sha256 == own.candidate_sha256
    assert [each.batch for each in graph.comparisons] == [2, 1, 6]
    for certificate in (network, graph):
        assert certificate.candidate.endswith("on the CPU, rounded to fp16, accuracy only")
        assert 0 < certificate.max_error <= 0.01
        assert certificate.min_agreement == 1
        assert 0 < max(each.max_error for each in certificate.comparisons) < 0.01
    model = onnx.load(made.folder / "model.onnx")
    assert [each.type.tensor_type.elem_type for each in (*model.graph.input, *model.graph.output)] == [
        TensorProto.UINT8,
        TensorProto.FLOAT,
    ]
    assert {each.data_type for each in model.graph.initializer} <= {TensorProto.FLOAT16, TensorProto.INT64}


def test_with_labels_it_is_judged_as_well(artifact: Path, images: Images) -> None:
    made = optimize(artifact, "fp16", calibrate=images.calibrate, data=images.data)
    assert made.judgement.passed
    assert made.judgement.calibration == "40 images of " + "/".join(images.calibrate.parts[-2:])
    assert made.judgement.accuracy is not None
    assert made.judgement.accuracy.reference > 0.99
    assert made.judgement.speed is None
    assert made.judgement.candidate.endswith("accuracy only")
    assert made.variant.certificates[1].images == made.judgement.calibration
    with pytest.raises(InvalidInput, match="holds 0 different images to calibrate with, those that judge"):
        optimize(artifact, "fp16", calibrate=images.data, data=images.data)


def test_the_words_on_a_cpu(artifact: Path) -> None:
    text = shown("optimize", artifact, "--precision", "fp16")
    assert text.count("within the bounds of fp16") == 2
    assert ACCURACY_ONLY in text
    assert ACCURACY_ONLY in shown("show", artifact)
    facts = json.loads(shown("optimize", artifact, "--precision", "fp16", "--json"))
    assert facts["variant"]["judgement"] is None
    assert "accuracy only" in facts["variant"]["certificates"][0]["candidate"]


def test_an_engine_does_not_outlive_its_graph(artifact: Path) -> None:
    text = shown("optimize", artifact, "--precision", "fp16")
    engine = add_engine(read_artifact(artifact), target_of("rtx:8.6"), images=[], variant="fp16")
    result = CliRunner().invoke(app, ["optimize", str(artifact), "--precision", "fp16"])
    assert (result.exit_code, result.stdout) == (0, text)
    assert "the earlier fp16 had an engine, which is gone with its graph; build it again" in result.stderr
    assert sorted(path.name for path in engine.folder.iterdir()) == [
        "answers.npz",
        "manifest.json",
        "model.onnx",
        "variant.json",
    ]
    assert not optimize(artifact, "fp16").engine_gone
    read_variant(engine.folder)


def test_a_planted_overflow_stays_in_float32(planted: Path) -> None:
    made = optimize(planted, "fp16")
    model = onnx.load(made.folder / "model.onnx")
    kept = {node.op_type for node in model.graph.node if node.name in made.variant.float32_blocks}
    assert {"MatMul", "Div"} <= kept
    assert "Conv" not in kept
    assert any("and float16 ends at 65504" in reason for reason in made.float32.values())
    text = shown("optimize", planted, "--precision", "fp16")
    assert "what stays in float32" in text
    assert "and float16 ends at 65504" in text
    assert f"in float32: {len(made.variant.float32_blocks)} nodes" in shown("show", planted)


def test_what_departs_stays_a_draft(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.serving.optimize.fp16.float32_needs", lambda *_: {})
    with pytest.raises(
        ParityError, match=r"the fp16 variant of colours departs from PyTorch.*draft is in"
    ) as caught:
        optimize(planted, "fp16")
    assert variants_of(planted) == ()
    assert (planted / "variants" / ".fp16.draft" / "model.onnx").is_file()
    assert not caught.value.certificates[0].passed
    assert "NOT equal" in shown("optimize", planted, "--precision", "fp16", code=1)


def test_answers_that_pytorch_did_not_give(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The float32 graph agrees: only the goldens reach the network itself."""
    goldens = read_goldens(artifact / "goldens")
    turned = [replace(each, reference=np.roll(each.reference, 1)) for each in goldens]
    monkeypatch.setattr("regard.serving.optimize.fp16.read_goldens", lambda _: turned)
    with pytest.raises(ParityError, match="departs from PyTorch"):
        optimize(artifact, "fp16")


def test_arguments_that_mean_nothing(artifact: Path, images: Images) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "target is for int8: fp16 is one variant": {"target": "tensorrt"},
        "keep_slower is for what is timed here": {"keep_slower": True},
        "calibrate_split is a folder in calibrate, which is missing": {"calibrate_split": "train"},
        "split, limit and ignore_index are about data, which is missing": {"limit": 3},
        "300 images of .* are too few|20 images of .* are too few": {"data": images.data, "limit": 20},
    }
    for words, arguments in wrong.items():
        with pytest.raises(InvalidInput, match=words):
            optimize(artifact, "fp16", **arguments)
    assert variants_of(artifact) == ()
    with pytest.raises(InvalidInput, match="keep_slower is for what is timed here"):
        optimize(artifact, "int8", target="tensorrt", calibrate=images.both, keep_slower=True)


@pytest.fixture(scope="module")
def variants(
    exported: Callable[..., Artifact], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("fp16")
    made = {}
    for name, pixels in (("classes", False), ("pixels", True)):
        shutil.copytree(exported(pixels=pixels).folder, folder / name)
        made[name] = read_variant(optimize(folder / name, "fp16").folder)
    return made


@pytest.fixture(scope="module")
def server(
    variants: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedTriton]:
    """One that has judged both by their goldens as it loaded them."""
    repository = tmp_path_factory.mktemp("fp16_server") / "repository"
    for name, variant in variants.items():
        add(variant, repository, name=name, instances=1)
        check_model(repository, name)
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(repository, http_port=http, grpc_port=grpc, metrics_port=metrics) as server:
        yield server


def test_a_label_map_keeps_its_type_and_bounds(variants: dict[str, Artifact]) -> None:
    variant = variants["pixels"]
    assert [certificate.min_agreement for certificate in variant.card.certificates] == [0.975] * 2
    assert onnx.load(variant.model).graph.output[0].type.tensor_type.elem_type == TensorProto.UINT8
    local = LocalModel(variant.folder)
    answer = local.client.infer(local.name, {"image": coloured("red", 1)[None]}, ["label_map"])["label_map"]
    assert answer.dtype == np.uint8
    assert (answer == LABELS.index("red")).mean() > 0.9


@pytest.mark.parametrize("name", ["classes", "pixels"])
def test_triton_answers_within_the_bounds_of_fp16(
    server: EmbeddedTriton, variants: dict[str, Artifact], name: str
) -> None:
    """Of the repository's version, and of the variant's folder."""
    for place in (None, variants[name].folder):
        done = verify_served(server.connection, name, repository=server.repository, artifact=place)
        assert done.passed
        assert len(done.checks) == 12
    page = page_of(name, server.repository)
    assert page.unproven is None
    assert page.variants[0].accuracy_only
