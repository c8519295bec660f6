"""Each figure against torchmetrics, and the cases where there is nothing to divide by."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from tests.serving.evaluate.oracles import torchmetrics as oracle

from regard.contract.answers import Classes, LabelMap
from regard.errors import InvalidInput
from regard.serving.evaluate.layouts import LabelledImage
from regard.serving.evaluate.metrics.average_precision import average_precision
from regard.serving.evaluate.metrics.calibration import BINS, Calibration
from regard.serving.evaluate.metrics.labels import LabelMetrics
from regard.serving.evaluate.metrics.metrics import Figures
from regard.serving.evaluate.metrics.pixels import NOT_SEEN, PixelMetrics
from regard.serving.evaluate.metrics.single import SingleMetrics

LABELS = 8
GREY = np.zeros((2, 2), np.uint8)


def drawn(images: int, seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Probabilities (N, K), right more often than not, and classes (N,) among which the last never occurs."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, LABELS - 1, images)
    scores = random.normal(size=(images, LABELS)) + 1.5 * np.eye(LABELS)[truth]
    scores[:, 3] = -9  # never answered
    return torch.tensor(scores).softmax(1).float().numpy(), truth


def single(probabilities: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]) -> Figures:
    answer = Classes(labels=tuple(f"label {index}" for index in range(probabilities.shape[1])))
    metrics = SingleMetrics(answer)
    for index, (row, number) in enumerate(zip(probabilities, truth.tolist(), strict=True)):
        metrics.add(LabelledImage(str(index), GREY, (number,)), answer.result(row, top_k=len(row)))
    return metrics.figures()


def test_one_label_each_against_torchmetrics() -> None:
    probabilities, truth = drawn(400)
    figures = single(probabilities, truth)
    given = torch.tensor(probabilities), torch.tensor(truth)
    for name, expected in {
        "top1": oracle.MulticlassAccuracy(LABELS, average="micro"),
        "top5": oracle.MulticlassAccuracy(LABELS, average="micro", top_k=5),
        "precision": oracle.MulticlassPrecision(LABELS),
        "recall": oracle.MulticlassRecall(LABELS),
        "f1": oracle.MulticlassF1Score(LABELS),
        "calibration_error": oracle.MulticlassCalibrationError(LABELS, n_bins=BINS),
    }.items():
        assert figures.metrics[name] == pytest.approx(expected(*given).item(), abs=1e-6), name
    for name, expected in {
        "precision": oracle.MulticlassPrecision(LABELS, average=None),
        "recall": oracle.MulticlassRecall(LABELS, average=None),
        "f1": oracle.MulticlassF1Score(LABELS, average=None),
    }.items():
        own = [row[name] for row in figures.labels]
        assert own == pytest.approx(expected(*given).tolist(), abs=1e-6), name
    assert figures.confusion is not None
    assert figures.confusion.counts.tolist() == oracle.MulticlassConfusionMatrix(LABELS)(*given).tolist()
    assert [row["support"] for row in figures.labels] == np.bincount(truth, minlength=LABELS).tolist()


def test_a_label_that_is_neither_there_nor_answered_has_no_figures() -> None:
    probabilities, truth = np.eye(3, dtype=np.float32)[[0, 0, 1]], np.array([0, 1, 1])
    figures = single(probabilities, truth)
    assert all(math.isnan(figures.labels[2][name]) for name in ("precision", "recall", "f1"))
    assert figures.labels[2]["support"] == 0
    assert figures.metrics["recall"] == pytest.approx((1 + 1 / 2) / 2)
    expected = oracle.MulticlassRecall(3)(torch.tensor(probabilities), torch.tensor(truth))
    assert figures.metrics["recall"] == pytest.approx(expected.item())
    assert "top5" not in figures.metrics  # of three labels


def test_the_score_is_the_probability_of_the_truth() -> None:
    answer = Classes(labels=("a", "b"))
    judged = SingleMetrics(answer).add(
        LabelledImage("x.png", GREY, (1,)), answer.result(np.array([0.75, 0.25], np.float32), top_k=2)
    )
    assert judged.score == judged.facts["probability_of_truth"] == 0.25
    assert (judged.facts["label"], judged.facts["truth"], judged.facts["right"]) == ("a", "b", False)


def test_calibration() -> None:
    """Ten answers of 0.9 of which seven are right; certainty falls into the last bin, not into one more."""
    calibration = Calibration()
    for right in [True] * 7 + [False] * 3:
        calibration.add(0.9, right)
    assert calibration.error() == pytest.approx(0.2)
    for _ in range(10):
        calibration.add(1.0, True)
    calibration.add(0.0, False)
    # 0.9 and 1 lie in different bins of 15
    assert calibration.error() == pytest.approx(10 * 0.2 / 21)
    assert calibration.answers.sum() == 21


def test_two_classes_of_one_label_cannot_be_judged() -> None:
    with pytest.raises(InvalidInput, match="2 classes the label 'crane'"):
        SingleMetrics(Classes(labels=("crane", "crane", "owl")))


def test_several_labels_against_torchmetrics() -> None:
    random = np.random.default_rng(1)
    truth = random.random((200, LABELS)) < np.linspace(0.05, 0.6, LABELS)
    # two digits: many share a probability
    probabilities = np.round(np.clip(0.4 * truth + random.random((200, LABELS)) * 0.6, 0, 1), 2)
    probabilities = probabilities.astype(np.float32)
    thresholds = [0.35] * LABELS
    answer = Classes(labels=tuple("abcdefgh"), activation="sigmoid", thresholds=tuple(thresholds))
    metrics = LabelMetrics(answer)
    for index, (row, applies) in enumerate(zip(probabilities, truth, strict=True)):
        numbers = tuple(np.flatnonzero(applies).tolist())
        metrics.add(LabelledImage(str(index), GREY, numbers), answer.result(row, top_k=LABELS))
    figures = metrics.figures()
    given = torch.tensor(probabilities), torch.tensor(truth).long()
    called = torch.tensor(probabilities >= np.float32(0.35)).long(), given[1]
    assert figures.metrics["mean_average_precision"] == pytest.approx(
        oracle.MultilabelAveragePrecision(LABELS)(*given).item(), abs=1e-6
    )
    own = [row["average_precision"] for row in figures.labels]
    each = oracle.MultilabelAveragePrecision(LABELS, average=None)(*given)
    assert own == pytest.approx(each.tolist(), abs=1e-6)
    for name, expected in {
        "precision": oracle.MultilabelPrecision(LABELS),
        "recall": oracle.MultilabelRecall(LABELS),
        "f1": oracle.MultilabelF1Score(LABELS),
        "f1_micro": oracle.MultilabelF1Score(LABELS, average="micro"),
    }.items():
        assert figures.metrics[name] == pytest.approx(expected(*called).item(), abs=1e-6), name
    assert figures.confusion is None


def test_a_label_that_never_applies_has_no_average_precision() -> None:
    assert math.isnan(average_precision(np.ones(3, np.float32), np.zeros(3, bool)))


def pixels(
    tmp_path: Path, answers: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8], answer: LabelMap
) -> PixelMetrics:
    metrics = PixelMetrics(answer, answer.ignore_index)
    for index, (label_map, true) in enumerate(zip(answers, truth, strict=True)):
        path = tmp_path / f"{index}.png"
        Image.fromarray(true).save(path)
        metrics.add(LabelledImage(str(index), GREY, path), answer.result(label_map))
    return metrics


def test_pixels_against_torchmetrics(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 5, (4, 12, 9)).astype(np.uint8)  # 4 is no label
    answers = np.where(random.random(truth.shape) < 0.7, truth % 4, random.integers(0, 4, truth.shape))
    answers = answers.astype(np.uint8)
    answer = LabelMap(labels=("a", "b", "c", "d"), ignore_index=4)
    figures = pixels(tmp_path, answers, truth, answer).figures()
    given = torch.tensor(answers).long(), torch.tensor(truth).long()
    own = [row["iou"] for row in figures.labels]
    assert own == pytest.approx(
        oracle.MulticlassJaccardIndex(4, average=None, ignore_index=4)(*given).tolist(), abs=1e-6
    )
    assert figures.metrics["mean_iou"] == pytest.approx(np.mean(own))
    # and with a fifth label, which is nowhere
    wider = LabelMap(labels=("a", "b", "c", "d", "e"), ignore_index=255)
    truth[truth == 4] = 255
    index = oracle.MulticlassJaccardIndex(5, ignore_index=255)
    mean_iou = pixels(tmp_path, answers, truth, wider).figures().metrics["mean_iou"]
    assert mean_iou == pytest.approx(index(given[0], torch.tensor(truth).long()).item(), abs=1e-6)
    accuracy = oracle.MulticlassAccuracy(4, average="micro", ignore_index=4)(*given).item()
    assert figures.metrics["pixel_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    expected = oracle.MulticlassConfusionMatrix(4, ignore_index=4)(*given)
    assert figures.confusion is not None
    assert figures.confusion.counts.tolist() == expected.tolist()


def test_what_a_crop_cut_off_is_missed(tmp_path: Path) -> None:
    answer = LabelMap(labels=("a", "b", "c"))
    answers = np.array([[[0, 0, 255, 255]]], np.uint8)
    truth = np.array([[[0, 0, 0, 1]]], np.uint8)
    figures = pixels(tmp_path, answers, truth, answer).figures()
    assert figures.metrics["pixel_accuracy"] == 0.5
    assert [row["iou"] for row in figures.labels][:2] == [pytest.approx(2 / 3), 0]
    assert math.isnan(figures.labels[2]["iou"])
    assert figures.metrics["mean_iou"] == pytest.approx(1 / 3)
    assert figures.confusion is not None
    assert figures.confusion.columns == ("a", "b", "c", NOT_SEEN)


def test_the_figures_of_the_images_add_up(tmp_path: Path) -> None:
    """Those of any set of images can be made of what is kept of each."""
    answer = LabelMap(labels=("a", "b"))
    random = np.random.default_rng(3)
    answers, truth = random.integers(0, 2, (2, 5, 6, 7)).astype(np.uint8)
    metrics = PixelMetrics(answer, None)
    kept = []
    for index in range(5):
        Image.fromarray(truth[index]).save(tmp_path / f"{index}.png")
        image = LabelledImage(str(index), GREY, tmp_path / f"{index}.png")
        kept.append(metrics.add(image, answer.result(answers[index])).facts)
    hits, answered, support = (
        np.sum([facts[name] for facts in kept], axis=0) for name in ("hits", "answered", "support")
    )
    assert (hits / (answered + support - hits)).mean() == pytest.approx(metrics.figures().metrics["mean_iou"])


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (np.zeros((3, 4), np.uint8), r"has the size \(3, 4\), its image, turned upright, \(4, 3\)"),
        (np.full((4, 3), 9, np.uint8), r"holds classes \[9\], which are neither labels nor ignore_index"),
    ],
)
def test_a_label_map_that_does_not_fit(truth: npt.NDArray[np.uint8], message: str, tmp_path: Path) -> None:
    answer = LabelMap(labels=("a", "b"))
    with pytest.raises(InvalidInput, match=message):
        pixels(tmp_path, np.zeros((1, 4, 3), np.uint8), truth[None], answer)
