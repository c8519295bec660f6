"""Variants in int8 and bf16: made, judged, and kept only where they are as good and faster."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from tests.serving.optimize.conftest import LABELS, Images, coloured
from typer.testing import CliRunner

from regard.contract.goldens import read_goldens
from regard.contract.judgement import Speed
from regard.contract.variant import Variant
from regard.errors import ExportError, InvalidInput
from regard.export.artifact import Artifact
from regard.export.variant import read_variant, variants_of
from regard.serving.cli.app import app
from regard.serving.evaluate.data import find_data
from regard.serving.evaluate.subject import artifact as subject
from regard.serving.local.model import LocalModel
from regard.serving.optimize import pools, speed
from regard.serving.optimize.gate import GateError
from regard.serving.optimize.optimize import optimize
from regard.serving.optimize.speed import TooSlow

pytest.importorskip("nncf")


def shown(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout


def test_int8(artifact: Path, images: Images) -> None:
    made = optimize(artifact, "int8", calibrate=images.calibrate, data=images.data, keep_slower=True)
    assert made.folder == artifact / "variants" / "int8"
    assert variants_of(artifact) == (made.variant,)
    assert (made.variant.runtime, made.variant.precision, made.variant.float32_blocks) == (
        *("openvino", "int8"),
        (),
    )
    judgement = made.judgement
    assert judgement.passed
    assert judgement.images == 300
    assert judgement.data == "300 images of " + "/".join(images.data.parts[-2:])
    assert judgement.calibration == "40 images of " + "/".join(images.calibrate.parts[-2:])
    assert judgement.agreement >= 0.99
    assert judgement.accuracy is not None
    assert judgement.accuracy.metric == "top1"
    assert judgement.accuracy.reference > 0.99
    assert judgement.speed is not None
    assert judgement.candidate.endswith("on the CPU, int8")


def test_its_answers_to_the_goldens_travel_with_it(artifact: Path, images: Images) -> None:
    made = optimize(artifact, "int8", calibrate=images.both, keep_slower=True)
    local = LocalModel(made.folder)
    with np.load(made.folder / "answers.npz") as answers:
        for golden in read_goldens(artifact / "goldens"):
            pixels = local.card.input.decode_and_fit(golden.encoded)
            found = local.client.infer("colours", {"image": pixels[None]}, ["probabilities"])
            np.testing.assert_allclose(answers[golden.name], found["probabilities"][0], atol=1e-5)
            assert not np.array_equal(answers[golden.name], golden.answer)  # int8's, not float32's
    assert subject(made.folder).answer(next(images.calibrate.iterdir())).label


def test_pixels(exported: Callable[..., Artifact], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported(pixels=True).folder, tmp_path / "artifact"))
    (tmp_path / "images").mkdir()
    for index in range(pools.LEAST_CALIBRATION + pools.LEAST_JUDGED["segmentation"]):
        image = Image.fromarray(coloured(LABELS[index % 4], index, most=9))
        image.save(tmp_path / "images" / f"{index}.png")
    made = optimize(folder, "int8", calibrate=tmp_path / "images", keep_slower=True)
    assert made.judgement.passed
    assert (made.judgement.min_agreement, made.judgement.min_least_agreement) == (0.99, 0.975)
    graph = onnx.load(made.folder / "model.onnx")
    assert any(name.startswith("cheap_tail/") for node in graph.graph.node for name in node.input)


def test_what_costs_too_much_stays_in_float32(fragile: Path, images: Images) -> None:
    made = optimize(fragile, "int8", calibrate=images.calibrate, data=images.data, keep_slower=True)
    assert made.judgement.passed
    assert made.variant.float32_blocks == ("network.middle",)
    assert made.costs[0].block == "network.middle"
    assert made.costs[0].cost > 0.2 > made.costs[1].cost
    assert read_variant(made.folder).precision == "int8"


def test_where_nothing_passes_the_draft_stays(
    fragile: Path, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regard.serving.optimize.int8.MIXED", ())
    with pytest.raises(GateError, match=r"is not as good as float32 on 300 images.*agreement 0\.") as raised:
        optimize(fragile, "int8", calibrate=images.calibrate, data=images.data)
    assert variants_of(fragile) == ()
    draft = fragile / "variants" / ".int8.draft"
    variant = Variant.model_validate_json((draft / "variant.json").read_bytes())
    assert variant == raised.value.variant
    assert variant.judgement is not None
    assert not variant.judgement.passed
    graph = onnx.load(draft / "model.onnx")
    assert any(node.op_type == "QuantizeLinear" for node in graph.graph.node)
    assert raised.value.costs[0].block == "network.middle"
    arguments = ("--precision", "int8", "--calibrate", images.calibrate, "--data", images.data)
    text = shown("optimize", fragile, *arguments, code=1)
    assert "NOT as good" in text
    assert "network.middle" in text
    facts = json.loads(shown("optimize", fragile, *arguments, "--json", code=1))
    assert facts["folder"] is None
    assert facts["costs"][0]["block"] == "network.middle"


def test_without_labels_it_is_agreement_only(artifact: Path, images: Images) -> None:
    made = optimize(artifact, "int8", calibrate=images.both, keep_slower=True)
    assert made.judgement.accuracy is None
    assert made.judgement.images == 300
    assert "agreement only" in shown("show", artifact)
    page = json.loads(shown("show", artifact, "--json"))
    assert page["variants"][0]["judgement"]["accuracy"] is None


def test_no_image_calibrates_and_judges(artifact: Path, images: Images) -> None:
    """Told apart by their contents, whatever they are called."""
    card = LocalModel(artifact).card
    pool = pools.pool_of(images.both, card, None)
    calibration, judged = pools.shared_out(pool, "classification")
    assert (len(calibration.images), len(judged.images)) == (40, 300)
    assert not {*map(pools.content, calibration.images)} & {*map(pools.content, judged.images)}
    data = find_data(images.data, card)
    beside = pools.calibration_beside(pool, data)
    assert {*map(pools.content, beside.images)} == {
        *map(pools.content, pools.pool_of(images.calibrate, card, None).images)
    }
    with pytest.raises(InvalidInput, match=r"holds 0 different images to calibrate with, those that judge"):
        optimize(artifact, "int8", calibrate=images.data, data=images.data)


def test_the_same_image_twice_counts_once(artifact: Path, images: Images, tmp_path: Path) -> None:
    folder = tmp_path / "twice"
    folder.mkdir()
    for index in range(2 * 31):
        source = sorted(images.calibrate.iterdir())[index % 31]
        shutil.copy(source, folder / f"{index}.png")
    with pytest.raises(InvalidInput, match="holds 31 different images .* takes at least 32"):
        optimize(artifact, "int8", calibrate=folder, data=images.data)


def test_too_few_images(artifact: Path, images: Images) -> None:
    with pytest.raises(InvalidInput, match="at least 32, and to judge a model of classification 300 others"):
        optimize(artifact, "int8", calibrate=images.calibrate)
    with pytest.raises(InvalidInput, match="20 images of .* are too few .* at least 300"):
        optimize(artifact, "int8", calibrate=images.calibrate, data=images.data, limit=20)
    with pytest.raises(InvalidInput, match="40 images of .* are too few"):
        optimize(artifact, "bf16", calibrate=images.calibrate)


def test_where_images_are_found(artifact: Path, images: Images, tmp_path: Path) -> None:
    card = LocalModel(artifact).card
    assert len(pools.pool_of(images.both, card, None).images) == 340  # as deep as it goes
    assert len(pools.pool_of(images.both, card, "red").images) == 85
    shutil.copytree(images.calibrate, tmp_path / "train" / "images")
    shutil.copytree(images.calibrate, tmp_path / "train" / "labels")
    assert len(pools.pool_of(tmp_path, card, None).images) == 40  # no label maps
    with pytest.raises(InvalidInput, match="has no split 'val'"):
        pools.pool_of(tmp_path, card, "val")
    with pytest.raises(InvalidInput, match="is no folder of images"):
        pools.pool_of(tmp_path / "missing", card, None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="there are no images"):
        pools.pool_of(tmp_path / "empty", card, None)


def test_mnist_files_calibrate_too(tmp_path: Path, artifact: Path) -> None:
    for prefix, count in (("train", 6), ("t10k", 3)):
        images, labels = np.arange(count * 64).reshape(count, 8, 8), np.arange(count) % 3
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = b"\0\0\x08" + bytes([values.ndim]) + np.array(values.shape, ">u4").tobytes()
            data = gzip.compress(header + values.astype(np.uint8).tobytes())
            (tmp_path / f"{prefix}-{name}-ubyte.gz").write_bytes(data)
    card = LocalModel(artifact).card
    pool = pools.pool_of(tmp_path, card, None)
    assert len(pool.images) == 6
    assert pools.fitted(pool.images[0], card).shape == (12, 12, 3)
    assert len(pools.pool_of(tmp_path, card, "test").images) == 3


def slow(*_: object) -> Speed:
    return Speed(device="a slow one", reference=0.001, variant=0.002, runs=1)


def test_a_slower_variant(artifact: Path, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.serving.optimize.optimize.speed", slow)
    with pytest.raises(TooSlow, match=r"takes 2\.00 ms .* float32 1\.00: .* set keep_slower"):
        optimize(artifact, "int8", calibrate=images.both)
    assert variants_of(artifact) == ()
    made = optimize(artifact, "int8", calibrate=images.both, keep_slower=True)
    assert made.judgement.speed == slow()


def test_speed_is_taken_in_turns(artifact: Path) -> None:
    from regard.export.artifact import read_artifact

    found = speed.speed(read_artifact(artifact), read_artifact(artifact))
    assert found.runs == speed.RUNS
    assert found.reference > 0 < found.variant


def test_bf16_where_there_is_none(artifact: Path, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        bf16 = False

        def __init__(self, *_: object, **__: object) -> None: ...

    monkeypatch.setattr("regard.export.sessions.openvino_session.OpenVinoSession", Old)
    with pytest.raises(ExportError, match="this processor does not compute in bf16"):
        optimize(artifact, "bf16", data=images.data)


def test_bf16(artifact: Path, images: Images) -> None:
    from regard.export.sessions.openvino_session import OpenVinoSession

    if not OpenVinoSession(artifact / "model.onnx", precision="bf16", threads=1).bf16:
        pytest.skip("this processor does not compute in bf16")
    made = optimize(artifact, "bf16", data=images.data, keep_slower=True)
    assert (made.variant.file, made.variant.runtime) == (None, "openvino")
    assert made.judgement.passed
    assert made.judgement.variant_sha256 == made.judgement.reference_sha256
    assert made.judgement.calibration is None
    assert not (made.folder / "model.onnx").exists()
    assert (made.folder / "answers.npz").is_file()
    with pytest.raises(InvalidInput, match="bf16 has to be judged"):
        optimize(artifact, "bf16")
    with pytest.raises(InvalidInput, match="bf16 is for OpenVINO alone"):
        optimize(artifact, "bf16", data=images.data, target="tensorrt")


def test_for_tensorrt(artifact: Path, images: Images) -> None:
    arguments = ("--precision", "int8", "--for", "tensorrt", "--calibrate", images.both, "--json")
    facts = json.loads(shown("optimize", artifact, *arguments))
    folder = artifact / "variants" / "int8-tensorrt"
    assert facts["folder"] == str(folder)
    variant = read_variant(folder)
    assert variant.runtime == "onnxruntime"
    graph = onnx.load(folder / "model.onnx").graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    zero_points = [constants[node.input[2]] for node in graph.node if "QuantizeLinear" in node.op_type]
    assert zero_points
    assert all(each.dtype == np.int8 and not each.any() for each in zero_points)
    assert facts["variant"]["judgement"]["speed"] is None
    assert "its speed was not measured" in shown("show", artifact)
    with pytest.raises(InvalidInput, match="for TensorRT, give images to calibrate with"):
        optimize(artifact, "int8", target="tensorrt")


def test_the_command(artifact: Path, images: Images) -> None:
    arguments = ("--calibrate", images.calibrate, "--data", images.data, "--keep-slower")
    text = shown("optimize", artifact, "--precision", "int8", *arguments)
    assert "as good" in text
    assert "top1" in text
    assert "int8 is in" in text
    assert "calibrated with 40 images" in shown("show", artifact)
    figures = json.loads(shown("evaluate", artifact / "variants" / "int8", "--data", images.data, "--json"))
    assert figures["metrics"]["top1"] > 0.99


def test_no_variant_comes_with_regard(artifact: Path) -> None:
    with pytest.raises(InvalidInput, match="no int8 variant of colours comes with regard"):
        optimize(artifact, "int8")


def test_an_ignored_label_is_for_pixels(artifact: Path, images: Images) -> None:
    with pytest.raises(InvalidInput, match="ignore_index is for label maps"):
        optimize(artifact, "int8", calibrate=images.calibrate, data=images.data, ignore_index=255)
