"""The comparison, on runners that say what they are told to."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tests.export.conftest import tiny_card

from regard.contract.answers import KINDS
from regard.contract.certificate import Certificate
from regard.contract.preprocess import Pixels
from regard.export.proof.bounds import FLOAT32
from regard.export.proof.comparison import ParityError, largest_difference, prove, relative
from regard.export.proof.runner import SCORES, Arrays, CannotRun
from regard.export.proof.trials import trials_of

LOGITS = np.array([[4.0, 1, -2], [0, 3, 1], [1, 0, 2], [3, 1, 0], [0, 2, 1], [-1, 0, 1]], np.float32)


class Says:
    """Gives these answers to a batch: as many of them as there are images."""

    def __init__(self, answers: Arrays, *, largest_batch: int = 6) -> None:
        self.name = "a runner"
        self.answers = answers
        self.sha256 = None
        self.largest_batch = largest_batch

    def run(self, inputs: Arrays) -> Arrays:
        batch = len(inputs["image"])
        if batch > self.largest_batch:
            raise CannotRun("too many")
        return {name: values[:batch] for name, values in self.answers.items()}


def proof(
    reference: Mapping[str, Any], candidate: Mapping[str, Any], task: Any = "classification", **options: Any
) -> tuple[Certificate, ...]:
    maps = options.pop("maps", None)
    images: list[Pixels] = [np.zeros((40, 40, 3), np.uint8)]
    return prove(
        Says({name: np.asarray(values) for name, values in reference.items()}),
        Says({name: np.asarray(values) for name, values in candidate.items()}, **options),
        trials_of(images, tiny_card("classification")),
        answer=KINDS[task](labels=("a", "b", "c")),
        precision=FLOAT32,
        subject="the candidate",
        images_from="nowhere",
        maps=maps,
    )


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_larger_of_two_errors_counts() -> None:
    near = softmax(LOGITS) + np.float32(1e-5)
    (certificate,) = proof(
        {SCORES: LOGITS, "probabilities": softmax(LOGITS)}, {SCORES: LOGITS, "probabilities": near}
    )
    assert certificate.reference == "a runner"
    assert certificate.images == "nowhere"
    assert certificate.max_error == pytest.approx(1e-4 * 4)
    for row in certificate.comparisons:
        assert row.max_error == pytest.approx(1e-5, rel=0.01)
        assert row.relative_error == pytest.approx(1e-5 / 4, rel=0.01)
        assert row.agreement == 1
    assert [row.traced for row in certificate.comparisons] == [True, False, False]


def test_probabilities_alone_are_the_scores() -> None:
    """As an endpoint gives them."""
    (certificate,) = proof({"probabilities": softmax(LOGITS)}, {"probabilities": softmax(LOGITS)})
    assert certificate.max_error == pytest.approx(1e-4 * softmax(LOGITS).max())


@pytest.mark.parametrize("fault", [1e-2, math.nan, math.inf])
def test_a_wrong_score_is_caught(fault: float) -> None:
    wrong = LOGITS.copy()
    wrong[2, 0] += fault  # of the third image: in the largest batch only
    same = {"probabilities": softmax(LOGITS)}
    with pytest.raises(
        ParityError, match="the candidate departs from a runner at batch 6 of 32 x 48"
    ) as caught:
        proof({SCORES: LOGITS, **same}, {SCORES: wrong, **same})
    assert not caught.value.certificates[0].passed


def test_another_class_is_caught_however_small_the_error() -> None:
    one = np.array([[0.5, 0.5 - 1e-6], [0.2, 0.8]] * 3)
    other = np.array([[0.5 - 1e-6, 0.5], [0.2, 0.8]] * 3)
    with pytest.raises(ParityError, match=r"agreement 50\.00%, at least 100\.00% passes"):
        proof({"probabilities": one}, {"probabilities": other})


@pytest.mark.parametrize(("wrong", "passes"), [(0, True), (1, True), (2, False)])
def test_labels_alone_may_differ_in_a_thousandth(wrong: int, passes: bool) -> None:
    labels = np.repeat(np.arange(6, dtype=np.uint8), 1000).reshape(6, 25, 40)
    found = labels.copy()
    found[:, 0, :wrong] = 9
    try:
        (certificate,) = proof({"label_map": labels}, {"label_map": found}, "segmentation")
    except ParityError as error:
        (certificate,) = error.certificates
    assert certificate.passed == passes
    assert certificate.max_error == pytest.approx(1e-3)
    assert certificate.comparisons[0].max_error == pytest.approx(wrong / 1000)


def test_answers_of_another_shape_never_pass() -> None:
    with pytest.raises(ParityError, match="error inf, at most"):
        proof({"probabilities": softmax(LOGITS)}, {"probabilities": softmax(LOGITS)[:, :2]})


def test_a_candidate_that_stops_is_caught() -> None:
    same = {"probabilities": softmax(LOGITS)}
    with pytest.raises(ParityError, match="the candidate stops at batch 6 of 32 x 48: too many") as caught:
        proof(same, same, largest_batch=2)
    assert caught.value.shape.batch == 6
    assert caught.value.certificates == ()


def test_each_map_is_held_to_its_own_scale() -> None:
    same = {"probabilities": softmax(LOGITS)}
    large, small = np.full((6, 4), 1000, np.float32), np.full((6, 4), 0.001, np.float32)
    reference = same | {"large": large, "small": small}
    answers, maps = proof(reference, reference, maps="maps")
    assert answers.passed
    assert maps.reference == "maps of a runner"
    assert maps.max_error == pytest.approx(0.1)
    with pytest.raises(ParityError, match=r"departs from maps of a runner at .*agreement 50\.00%"):
        proof(reference, reference | {"small": 2 * small}, maps="maps")


def test_nan_is_never_a_small_difference() -> None:
    clean = np.ones(3, np.float32)
    broken = np.array([1, math.nan, 1], np.float32)
    assert math.isnan(largest_difference(clean, broken))
    assert math.isnan(largest_difference(broken, broken))
    assert math.isnan(relative(largest_difference(clean, broken), clean))
    assert largest_difference(clean, np.ones(2, np.float32)) == math.inf
    assert relative(0.0, np.zeros(3, np.float32)) == 0
