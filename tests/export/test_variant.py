"""Variants: another graph of the same network, beside the others and proven by itself."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from tests.export.conftest import Exported

from regard.contract.card import Card
from regard.contract.certificate import Certificate
from regard.contract.digest import sha256
from regard.contract.manifest import write_manifest
from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput
from regard.export.artifact import read_artifact
from regard.export.proof.bounds import FLOAT32
from regard.export.proof.certificate import served_graph_runner
from regard.export.proof.comparison import ParityError, prove
from regard.export.proof.network_runner import NetworkRunner
from regard.export.proof.trials import trials_of
from regard.export.variant import Variant, adding_variant, read_variant, variants_of


@pytest.fixture
def artifact(exported: Exported, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.artifact.folder, tmp_path / "artifact"))


def fused(source: Path, target: Path) -> None:
    """The graph as ONNX Runtime rewrites it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def prove_variant(exported: Exported, model: Path, images: list[Pixels]) -> tuple[Certificate, ...]:
    card: Card = exported.card
    candidate = served_graph_runner(model, card)
    return prove(
        NetworkRunner(exported.network, card, explain="weights"),
        candidate,
        trials_of(images, card),
        answer=card.answer,
        precision=FLOAT32,
        subject="the fused graph",
        images_from="samples",
    )


def add_fused(artifact: Path, exported: Exported, images: list[Pixels], name: str = "fused") -> None:
    with adding_variant(artifact, name) as folder:
        fused(artifact / "model.onnx", folder / "model.onnx")
        certificates = prove_variant(exported, folder / "model.onnx", images)
        variant = Variant(name=name, precision="float32", file="model.onnx", certificates=certificates)
        (folder / "variant.json").write_text(variant.model_dump_json())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_variant_touches_nothing_else(artifact: Path, exported: Exported, images: list[Pixels]) -> None:
    add_fused(artifact, exported, images)
    before = contents(artifact)
    add_fused(artifact, exported, images, name="again")
    assert {name: after for name, after in contents(artifact).items() if name in before} == before
    assert [variant.name for variant in variants_of(artifact)] == ["again", "fused"]
    read_artifact(artifact)


def test_a_variant_that_departs_stays_a_draft(
    artifact: Path, exported: Exported, images: list[Pixels]
) -> None:
    def add_spoilt() -> None:
        with adding_variant(artifact, "spoilt") as folder:
            graph = onnx.load(artifact / "model.onnx")
            weights = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
            weights.raw_data = (np.frombuffer(weights.raw_data, np.float32) * 1.1).tobytes()
            onnx.save(graph, folder / "model.onnx")
            prove_variant(exported, folder / "model.onnx", images)

    with pytest.raises(ParityError):
        add_spoilt()
    assert variants_of(artifact) == ()
    assert (artifact / "variants" / ".spoilt.draft" / "model.onnx").is_file()


def test_a_variant_without_a_certificate(artifact: Path) -> None:
    def add_bare() -> None:
        with adding_variant(artifact, "bare") as folder:
            shutil.copy(artifact / "model.onnx", folder / "model.onnx")
            variant = Variant(name="bare", precision="float32", file="model.onnx", certificates=())
            (folder / "variant.json").write_text(variant.model_dump_json())

    with pytest.raises(InvalidInput, match="has no proof"):
        add_bare()
    assert not (artifact / "variants" / "bare").exists()


def test_a_variant_of_another_artifact(artifact: Path, exported: Exported, images: list[Pixels]) -> None:
    add_fused(artifact, exported, images)
    (artifact / "manifest.json").write_text((artifact / "manifest.json").read_text() + " ")
    with pytest.raises(InvalidInput, match="fused is a variant of another artifact"):
        variants_of(artifact)


def test_a_changed_variant(artifact: Path, exported: Exported, images: list[Pixels]) -> None:
    add_fused(artifact, exported, images)
    with (artifact / "variants" / "fused" / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InvalidInput, match=r"model\.onnx is not the file that was written there"):
        variants_of(artifact)


@pytest.mark.parametrize("name", ["", "..", "a/b", "INT8", ".hidden"])
def test_bad_names(artifact: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="a variant's name is"), adding_variant(artifact, name):
        pytest.fail("a folder was given")


def test_a_variant_runs_under_the_card_of_its_artifact(
    artifact: Path, exported: Exported, images: list[Pixels]
) -> None:
    add_fused(artifact, exported, images)
    found = read_variant(artifact / "variants" / "fused")
    assert found.model == artifact / "variants" / "fused" / "model.onnx"
    assert found.card.input == exported.card.input
    assert [each.candidate_sha256 for each in found.card.certificates] == [found.sha256]
    with (artifact / "variants" / "fused" / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InvalidInput, match=r"is not the file that was written there"):
        read_variant(artifact / "variants" / "fused")


def test_a_variant_that_is_no_graph_does_not_run_here(
    artifact: Path, exported: Exported, images: list[Pixels]
) -> None:
    add_fused(artifact, exported, images)
    folder = artifact / "variants" / "fused"
    (folder / "model.onnx").rename(folder / "network.bin")
    variant = Variant.model_validate_json((folder / "variant.json").read_bytes())
    (folder / "variant.json").write_text(variant.model_copy(update={"file": "network.bin"}).model_dump_json())
    write_manifest(folder, variant_of=sha256(artifact / "manifest.json"))
    with pytest.raises(InvalidInput, match=r"fused is network.bin, which is no ONNX graph"):
        read_variant(folder)
