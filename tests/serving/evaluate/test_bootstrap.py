"""The paired bootstrap against cases whose answer is known, and figures over any draw of the images."""

from typing import Any

import numpy as np
import pytest
from tests.serving.evaluate.test_data import CLASSES, PIXELS, SEVERAL, card

from regard.contract.answers import LabelMap
from regard.serving.evaluate.bootstrap import RESAMPLES, Figure, interval, resampled
from regard.serving.evaluate.metrics.average_precision import average_precision
from regard.serving.evaluate.metrics.metrics import Judged
from regard.serving.evaluate.metrics.pixels import intersection_over_union
from regard.serving.evaluate.metrics.rates import mean
from regard.serving.evaluate.resampling import average_precisions, figure_of


def top1(right: Any) -> Figure:
    return figure_of(CLASSES, [Judged("", 0, {"right": bool(each)}) for each in right])


def bootstrapped(right: Any, other: Any) -> tuple[float, float]:
    first, second = resampled([top1(right), top1(other)], len(right))
    return interval(first - second)


def test_the_interval_covers_the_true_difference() -> None:
    """Of two models that are right of 80 and 70 % of all images, mostly the same ones, in 95 of 100 samples;
    and it is as wide as the normal approximation.
    """
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        either = random.random(150)
        right, other = either < 0.8, (either < 0.65) | (either > 0.95)
        low, high = bootstrapped(right, other)
        covered += low <= 0.1 <= high
        differences = right.astype(float) - other
        assert high - low == pytest.approx(2 * 1.96 * differences.std() / np.sqrt(150), rel=0.12)
    assert 0.9 <= covered / 200 <= 0.99


def test_it_is_paired() -> None:
    """Equal answers differ by nothing in every draw, however much the figures themselves scatter."""
    right = np.random.default_rng(0).random(50) < 0.5
    assert bootstrapped(right, right) == (0, 0)
    low, high = bootstrapped(right, np.random.default_rng(1).permutation(right))
    assert low < -0.1 < 0.1 < high


def test_it_is_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where fewer draws are held at once."""
    right = np.random.default_rng(0).random(40) < 0.5
    found = resampled([top1(right)], 40)
    assert found.shape == (1, RESAMPLES)
    assert len(np.unique(found)) > 10
    monkeypatch.setattr("regard.serving.evaluate.bootstrap.CELLS", 40 * 300)
    assert (resampled([top1(right)], 40) == found).all()


def test_nothing_is_known_of_what_has_no_figure() -> None:
    assert np.isnan(interval(np.full(5, np.nan))).all()
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1, 1)


DRAWS = np.array([[1, 1, 1, 1, 1], [0, 3, 0, 2, 0], [5, 0, 0, 0, 0]])


def test_mean_iou_of_a_draw() -> None:
    """As of the images' confusion matrices added up, each as often as it was drawn."""
    counts = np.random.default_rng(0).integers(0, 9, (5, 3, 4))
    counts[0, 2] = counts[0, :, 2] = 0  # the last draw lacks a label
    each = [
        Judged(
            "",
            0,
            {
                "hits": one.diagonal().tolist(),
                "answered": one.sum(0)[:-1].tolist(),
                "support": one.sum(1).tolist(),
            },
        )
        for one in counts
    ]
    expected = [mean(intersection_over_union(np.tensordot(drawn, counts, 1))) for drawn in DRAWS]
    found = figure_of(card(LabelMap(labels=("a", "b", "c"))), each)(DRAWS)
    assert found == pytest.approx(expected)


def test_mean_iou_of_pixels_without_labels() -> None:
    nothing = {"hits": [0, 0], "answered": [0, 0], "support": [0, 0]}
    assert np.isnan(figure_of(PIXELS, [Judged("", 1, nothing)] * 5)(DRAWS)).all()


def test_average_precision_of_a_draw() -> None:
    """As of a list that holds an image as often as it was drawn, equal probabilities included."""
    probabilities = np.array([0.9, 0.4, 0.4, 0.4, 0.1])
    truth = np.array([False, True, False, True, True])
    expected = [
        average_precision(np.repeat(probabilities, drawn).astype(np.float32), np.repeat(truth, drawn))
        for drawn in DRAWS
    ]
    assert average_precisions(probabilities, truth, DRAWS) == pytest.approx(expected, nan_ok=True)
    assert np.isnan(expected[2])
    each = [
        Judged("", 0, {"probabilities": [value] * 3, "truth": ["dog", "cat"] if applies else ["cat"]})
        for value, applies in zip(probabilities, truth, strict=True)
    ]
    # every image has the first label and none the last
    assert figure_of(SEVERAL, each)(DRAWS) == pytest.approx(
        [(1 + value) / 2 if not np.isnan(value) else 1 for value in expected]
    )
