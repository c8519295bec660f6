"""The trained networks that come with regard, exported, are as good on the whole of their test sets as their
Cards say, which training measured in its own way.
"""

from pathlib import Path

import pytest
from tests.exports import Exports

from regard.contract.reading import card_from_file
from regard.models.load import network_of
from regard.models.samples import sample_images
from regard.models.weights_index import shipped
from regard.serving.evaluate.data import find_data
from regard.serving.evaluate.evaluation import Evaluation
from regard.serving.evaluate.run import evaluate
from regard.serving.evaluate.subject import artifact

pytestmark = pytest.mark.slow

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def judged(name: str, path: Path, exports: Exports) -> Evaluation:
    card = card_from_file(shipped()[name])
    exported = exports.of(network_of(card), card, sample_images(card))
    return evaluate(artifact(exported.folder), find_data(path, card))


@pytest.mark.skipif(
    not FASHION_MNIST.is_dir(), reason=f"no {FASHION_MNIST}: apt install dataset-fashion-mnist"
)
def test_garments(exports: Exports) -> None:
    evaluation = judged("se_resnet18_fashion_mnist", FASHION_MNIST, exports)
    stated = evaluation.subject.card.origin.metrics
    assert len(evaluation.each) == 10_000
    # two images of 10 000: another processor
    assert evaluation.figures.metrics["top1"] == pytest.approx(stated["top1"], abs=2e-4)
    assert evaluation.figures.metrics["top1"] >= 0.94
    right = [judged.facts["right"] for judged in evaluation.each]
    assert sum(right) / len(right) == evaluation.figures.metrics["top1"]


def test_streets(exports: Exports, data_root: Path) -> None:
    evaluation = judged("ccnet_mobilenet_v2_camvid", data_root / "camvid", exports)
    found = {f"iou_{row['label']}": row["iou"] for row in evaluation.figures.labels}
    found["mean_iou"] = evaluation.figures.metrics["mean_iou"]
    assert len(evaluation.each) == 101
    assert found == pytest.approx(evaluation.subject.card.origin.metrics, abs=1e-3)
