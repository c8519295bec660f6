"""The trained networks that come with regard in fp16, every result rounded: nothing stays in float32, and
on the whole of their test sets they are as good.
"""

import shutil
from pathlib import Path

import pytest
from tests.exports import Exports

from regard.contract.reading import card_from_file
from regard.models.load import network_of
from regard.models.samples import sample_images
from regard.models.weights_index import shipped
from regard.serving.optimize.optimize import Optimized, optimize

pytestmark = pytest.mark.slow

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def in_fp16(name: str, data: Path, exports: Exports, folder: Path) -> Optimized:
    card = card_from_file(shipped()[name])
    exported = exports.of(network_of(card), card, sample_images(card))
    return optimize(Path(shutil.copytree(exported.folder, folder)), "fp16", data=data)


@pytest.mark.skipif(
    not FASHION_MNIST.is_dir(), reason=f"no {FASHION_MNIST}: apt install dataset-fashion-mnist"
)
def test_garments(exports: Exports, tmp_path: Path) -> None:
    made = in_fp16("se_resnet18_fashion_mnist", FASHION_MNIST, exports, tmp_path / "artifact")
    assert made.float32 == {}
    accuracy = made.judgement.accuracy
    assert accuracy is not None
    assert (accuracy.metric, made.judgement.images) == ("top1", 10_000)
    assert accuracy.variant == pytest.approx(accuracy.reference, abs=1e-3)
    assert made.judgement.agreement >= 0.999


def test_streets(exports: Exports, data_root: Path, tmp_path: Path) -> None:
    made = in_fp16("ccnet_mobilenet_v2_camvid", data_root / "camvid", exports, tmp_path / "artifact")
    assert made.float32 == {}
    accuracy = made.judgement.accuracy
    assert accuracy is not None
    assert (accuracy.metric, made.judgement.images) == ("mean_iou", 101)
    assert accuracy.variant == pytest.approx(accuracy.reference, abs=1e-3)
    assert made.judgement.agreement >= 0.999
    assert made.judgement.least_agreement >= 0.997
