"""Engines by TensorRT-RTX for three compute capabilities: of both trained networks in three precisions, of
one network of each other family in fp16.
"""

from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
from tests.serving.test_catalog_end_to_end import small_network
from torch import nn

from regard.contract.card import Card
from regard.contract.plan import Plan
from regard.contract.preprocess import Pixels
from regard.contract.reading import card_from_file
from regard.contract.variant import Precision
from regard.export.artifact import write_graph
from regard.export.onnx_export import trace
from regard.export.precision.fp16 import in_fp16, prepared
from regard.export.precision.quantize import quantize
from regard.export.proof.trials import trials_of
from regard.export.tensorrt.checked import Graph, checked_engine
from regard.export.tensorrt.target import target_of
from regard.models.load import network_of
from regard.models.samples import sample_images
from regard.models.weights_index import shipped

pytestmark = pytest.mark.slow

TARGET = target_of("rtx:8.6,8.9,12.0")
TRAINED = ("se_resnet18_fashion_mnist", "ccnet_mobilenet_v2_camvid")
# gates, criss-cross attention and MobileNetV2 are in those that are trained
FAMILIES = (
    *("cbam_resnet18", "aa_conv_resnet18", "local_resnet18", "pam_resnet18", "san10_pairwise", "attention56"),
    *("vit_tiny", "eamlp_7", "stn_affine", "interaction_pyramid_resnet18", "gain_resnet18", "acol_resnet18"),
    *("mil_noisy_or_resnet18", "two_level", "mgd", "fcan", "racnn", "macnn", "dvan"),
    *("danet_resnet18", "asp_oc_resnet18", "pspnet_resnet18", "pan_resnet18"),
)


def traced(network: nn.Module, card: Card, images: Sequence[Pixels]) -> onnx.ModelProto:
    """The served graph; what an export proves of it is tried elsewhere."""
    return trace(network, card, trials_of(images, card)[0])


def built(model: onnx.ModelProto, precision: Precision, card: Card, folder: Path) -> Plan:
    file = folder / f"{precision}.onnx"
    write_graph(model, file)
    return checked_engine(Graph(file, model, precision), card.input, TARGET, folder / "model.plan")


@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks(name: str, tmp_path: Path) -> None:
    card = card_from_file(shipped()[name])
    images = sample_images(card)
    model = traced(network_of(card), card, images)
    graphs: dict[Precision, onnx.ModelProto] = {
        "float32": model,
        "fp16": in_fp16(prepared(model), ()),
        "int8": quantize(model, images, target="tensorrt"),
    }
    for precision, graph in graphs.items():
        plan = built(graph, precision, card, tmp_path)
        assert plan.compute_capabilities == ("8.6", "8.9", "12.0")
        assert plan.state == "built, not run"
        assert plan.layers_by_precision[precision] >= 20


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str, tmp_path: Path) -> None:
    network, card = small_network(name)
    model = traced(network, card, sample_images(card))
    plan = built(in_fp16(prepared(model), ()), "fp16", card, tmp_path)
    assert plan.compute_capabilities == TARGET.compute_capabilities
    assert "fp16" in plan.layers_by_precision
