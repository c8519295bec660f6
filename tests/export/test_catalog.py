"""A network of the catalog, whole: the tests above use smaller ones."""

from pathlib import Path

import pytest
import torch
from tests.export.conftest import CLASSES, tiny_card

from regard.contract.card import Card
from regard.contract.preprocess import Pixels
from regard.export.onnx_export import export_onnx
from regard.models.catalog import build


@pytest.mark.slow
def test_se_resnet18_with_its_attention(tmp_path: Path, images: list[Pixels]) -> None:
    torch.manual_seed(0)
    network = build("se_resnet18", num_classes=CLASSES, width=16, stem="small").eval()
    card: Card = tiny_card("classification")
    artifact = export_onnx(network, card, tmp_path / "out", images=images, explain="weights")
    scores, attention = artifact.card.certificates
    assert (
        max(comparison.relative_error for comparison in (*scores.comparisons, *attention.comparisons)) < 1e-5
    )
