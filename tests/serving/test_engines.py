"""Engines by TensorRT-RTX for three compute capabilities: of both trained networks in three precisions, of
one network of each family in two.
"""

import shutil
from pathlib import Path

import onnx
import pytest
from tests.exports import Exports
from tests.serving.test_catalog_end_to_end import small_network
from tests.serving.variants import variant_of

from regard.contract.plan import Plan
from regard.contract.reading import card_from_file
from regard.contract.variant import Precision
from regard.export.artifact import Artifact, read_artifact
from regard.export.precision.fp16 import in_fp16, prepared
from regard.export.precision.quantize import quantize
from regard.export.tensorrt.engine import add_engine
from regard.export.tensorrt.target import target_of
from regard.models.load import network_of
from regard.models.samples import sample_images
from regard.models.weights_index import shipped

pytestmark = pytest.mark.slow

TARGET = target_of("rtx:8.6,8.9,12.0")
TRAINED = ("se_resnet18_fashion_mnist", "ccnet_mobilenet_v2_camvid")
FAMILIES = (
    *("se_resnet18", "cbam_resnet18", "aa_conv_resnet18", "local_resnet18", "pam_resnet18", "mobilenet_v2"),
    *("san10_pairwise", "attention56", "vit_tiny", "eamlp_7", "stn_affine", "interaction_pyramid_resnet18"),
    *(
        "gain_resnet18",
        "acol_resnet18",
        "mil_noisy_or_resnet18",
        "two_level",
        "mgd",
        "fcan",
        "racnn",
        "macnn",
    ),
    *("dvan", "danet_resnet18", "ccnet_resnet18", "asp_oc_resnet18", "pspnet_resnet18", "pan_resnet18"),
)


def built(artifact: Artifact, precision: Precision, graph: onnx.ModelProto | None) -> Plan:
    """The engine of a graph, or of the artifact's own."""
    if graph is None:
        return add_engine(artifact, TARGET, images=[]).plan
    variant_of(artifact, precision, precision=precision, runtime="onnxruntime", graph=graph, answers=False)
    return add_engine(artifact, TARGET, images=[], variant=precision).plan


@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks(name: str, exports: Exports, tmp_path: Path) -> None:
    card = card_from_file(shipped()[name])
    images = sample_images(card)
    exported = exports.of(network_of(card), card, images)
    artifact = read_artifact(Path(shutil.copytree(exported.folder, tmp_path / name)))
    model = onnx.load(artifact.model)
    quantized = quantize(model, images, target="tensorrt")
    for precision, graph in (("float32", None), ("fp16", in_fp16(prepared(model), ())), ("int8", quantized)):
        plan = built(artifact, precision, graph)
        assert plan.compute_capabilities == ("8.6", "8.9", "12.0")
        assert plan.state == "built, not run"
        assert plan.layers_by_precision[precision] >= 20
    assert {folder.name for folder in (artifact.folder / "variants").iterdir()} == {"float32", "fp16", "int8"}


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str, exports: Exports, tmp_path: Path) -> None:
    network, card = small_network(name)
    exported = exports.of(network, card, sample_images(card))
    artifact = read_artifact(Path(shutil.copytree(exported.folder, tmp_path / name)))
    assert built(artifact, "float32", None).precision == "float32"
    assert built(artifact, "fp16", in_fp16(prepared(onnx.load(artifact.model)), ())).precision == "fp16"
