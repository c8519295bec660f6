"""The int8 variants that come with regard: whole, judged, and taken for their own weights alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from tests.exports import Exports
from tests.serving.optimize.conftest import Images

from regard.contract.digest import sha256
from regard.contract.reading import card_from_file
from regard.contract.variant import Variant
from regard.errors import ExportError, InvalidInput
from regard.export.artifact import Artifact, read_artifact
from regard.models.load import network_of
from regard.models.samples import sample_images
from regard.models.weights_index import shipped, shipped_int8
from regard.serving.optimize.optimize import Optimized, optimize

pytest.importorskip("openvino")

MOST_BYTES = 12e6
TRAINED = ("se_resnet18_fashion_mnist", "ccnet_mobilenet_v2_camvid")


@pytest.mark.parametrize("name", TRAINED)
def test_what_comes_with_regard_was_judged(name: str) -> None:
    graph = shipped_int8()[name]
    assert name in shipped()
    assert graph.stat().st_size < MOST_BYTES
    record = Variant.model_validate_json(graph.with_suffix(".json").read_bytes())
    judgement = record.judgement
    assert judgement is not None
    assert judgement.passed
    assert judgement.accuracy is not None
    assert judgement.variant_sha256 == sha256(graph)
    assert (record.precision, record.runtime) == ("int8", "openvino")
    stated = card_from_file(shipped()[name]).origin.metrics
    assert judgement.accuracy.reference == pytest.approx(stated[judgement.accuracy.metric], abs=2e-4)
    model = onnx.load(graph)
    onnx.checker.check_model(model)
    assert not model.metadata_props


@pytest.fixture
def ships(
    artifact: Path, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Optimized, Path]:
    """An int8 variant of the classifier that comes with regard, and its graph."""
    pytest.importorskip("nncf")
    made = optimize(artifact, "int8", calibrate=images.calibrate, data=images.data, keep_slower=True)
    graph = Path(shutil.copy(made.folder / "model.onnx", tmp_path / "colours.onnx"))
    shutil.copy(made.folder / "variant.json", graph.with_suffix(".json"))
    shutil.rmtree(made.folder)
    monkeypatch.setattr("regard.serving.optimize.shipped.shipped_int8", lambda: {"colours": graph})
    monkeypatch.setattr(
        "regard.serving.optimize.shipped.shipped", lambda: {"colours": artifact / "card.json"}
    )
    return made, graph


def test_it_is_taken_with_its_judgement(
    ships: tuple[Optimized, Path], artifact: Path, images: Images
) -> None:
    made, graph = ships
    taken = optimize(artifact, "int8", keep_slower=True)
    assert sha256(taken.folder / "model.onnx") == sha256(graph)
    assert taken.judgement.data == f"{made.judgement.data} (judged before it came with regard)"
    assert taken.judgement.accuracy == made.judgement.accuracy
    assert taken.judgement.speed is not None
    assert taken.judgement.speed != made.judgement.speed
    again = optimize(artifact, "int8", data=images.data, limit=300, keep_slower=True)
    assert again.judgement.data == made.judgement.data
    assert again.judgement.calibration == made.judgement.calibration


def test_it_is_for_its_own_card_alone(
    ships: tuple[Optimized, Path], artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = json.loads((artifact / "card.json").read_text())
    fields["inputs"][0]["resize"] = "center_crop"
    (tmp_path / "card.json").write_text(json.dumps(fields))
    monkeypatch.setattr(
        "regard.serving.optimize.shipped.shipped", lambda: {"colours": tmp_path / "card.json"}
    )
    with pytest.raises(InvalidInput, match="no int8 variant of colours comes with regard"):
        optimize(artifact, "int8")


def test_it_must_decide_as_float32_here(
    ships: tuple[Optimized, Path],
    artifact: Path,
    exported: Callable[..., Artifact],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a processor whose kernels saturate."""
    _, graph = ships
    model = onnx.load(graph)
    for each in model.graph.initializer:
        if each.name == "network.scores.bias":
            values = onnx.numpy_helper.to_array(each).copy()
            values[0] += 1e6
            each.CopyFrom(onnx.numpy_helper.from_array(values, each.name))
    onnx.save(model, graph)
    with pytest.raises(ExportError, match="on this processor the int8 variant"):
        optimize(artifact, "int8")


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_the_trained_ones(name: str, exports: Exports, tmp_path: Path) -> None:
    card = card_from_file(shipped()[name])
    exported = exports.of(network_of(card), card, sample_images(card))
    folder = Path(shutil.copytree(exported.folder, tmp_path / "artifact"))
    made = optimize(folder, "int8", keep_slower=True)
    assert made.judgement.passed
    assert read_artifact(folder).card.name == name
