"""The kinds of answer: what decides, what agrees, and what a client is given."""

import numpy as np
import pytest
import torch

from regard.contract.answers import Classes, LabelMap
from regard.contract.answers.kind import AnswerKind
from regard.contract.results import Classification
from regard.errors import InvalidInput

EXCLUSIVE = Classes(labels=("cat", "dog", "owl"))
TAGS = Classes(labels=("indoor", "night", "people"), activation="sigmoid", thresholds=(0.5, 0.9, 0.2))
STREET = LabelMap(labels=("road", "sky", "tree"))
TUMOUR = LabelMap(labels=("healthy", "tumour"), activation="sigmoid", threshold=0.8)


@pytest.mark.parametrize(
    ("answer", "scores", "served"),
    [
        (EXCLUSIVE, (2, 3), (2, 3)),
        (TAGS, (2, 3), (2, 3)),
        (STREET, (2, 3, 4, 5), (2, 4, 5)),
        (TUMOUR, (2, 1, 4, 5), (2, 4, 5)),
    ],
    ids=["classes", "tags", "label map", "binary"],
)
def test_what_is_served_has_the_kinds_shape_and_type(
    answer: AnswerKind, scores: tuple[int, ...], served: tuple[int, ...]
) -> None:
    assert answer.scores_shape(2, 4, 5) == scores
    assert answer.served_shape(2, 4, 5) == served
    given = answer.append(torch.randn(scores, generator=torch.Generator().manual_seed(0))).numpy()
    assert (given.shape, given.dtype) == (served, answer.dtype)
    assert answer.fault(given) is None
    assert answer.nbytes(2, 4, 5) == given.nbytes
    assert answer.agreement(given, given) == 1.0


def test_exclusive_classes() -> None:
    probabilities = EXCLUSIVE.append(torch.tensor([[0.0, 2.0, 1.0]])).numpy()
    assert probabilities.sum() == pytest.approx(1)
    result = EXCLUSIVE.result(probabilities[0], top_k=2)
    assert (result.label, [label for label, _ in result.top], result.labels) == (
        "dog",
        ["dog", "owl"],
        ("dog",),
    )


def test_each_label_by_itself() -> None:
    """Thresholds are the client's: with others the same answer means other labels."""
    row = TAGS.append(torch.tensor([[1.0, 2.0, -1.0]])).numpy()[0]
    assert row.tolist() == pytest.approx([0.7311, 0.8808, 0.2689], abs=1e-4)
    result = TAGS.result(row, top_k=3)
    assert isinstance(result, Classification)
    assert result.label == "night"  # the likeliest, though below its own threshold
    assert result.labels == ("indoor", "people")
    plain = Classes(labels=TAGS.labels, activation="sigmoid")
    assert plain.result(row, top_k=1).labels == ("night", "indoor")
    assert plain.result(row * 0.1, top_k=1).labels == ()


def test_one_threshold_for_every_label() -> None:
    row = np.array([0.6, 0.85, 0.7], np.float32)
    assert TAGS.at_threshold(0.65).result(row, top_k=1).labels == ("night", "people")
    with pytest.raises(InvalidInput, match="exactly one applies"):
        EXCLUSIVE.at_threshold(0.5)
    for threshold in (0, 1, float("nan")):
        with pytest.raises(InvalidInput, match=f"between 0 and 1, got {threshold}"):
            TAGS.at_threshold(threshold)


def test_agreement_of_labels_that_apply() -> None:
    expected = np.array([[0.6, 0.95, 0.1]], np.float32)
    assert TAGS.agreement(expected, expected + 0.01) == 1.0
    assert TAGS.agreement(expected, expected - [[0, 0.1, 0]]) == pytest.approx(2 / 3)
    assert TAGS.agreement(expected, expected[:, :2]) == 0.0


def test_a_binary_label_map() -> None:
    low, high = 1.38, 1.39  # the sigmoid of log 4, 1.386, is the threshold of 0.8
    given = TUMOUR.append(torch.tensor([[[[low, high]]]])).numpy()
    assert given.tolist() == [[[0, 1]]]
    assert TUMOUR.result(given[0]).area == {"healthy": 0.5, "tumour": 0.5}


@pytest.mark.parametrize(
    ("answer", "tensor", "fault"),
    [
        (EXCLUSIVE, np.zeros((2, 4), np.float32), r"3 labels, but the model answers with shape \(2, 4\)"),
        (EXCLUSIVE, np.array([[0.5, np.nan, 0.5]], np.float32), "NaN or infinity"),
        (TAGS, np.array([[0.5, np.inf, 0.5]], np.float32), "NaN or infinity"),
        (STREET, np.full((1, 2, 2), 3, np.uint8), "3 labels, .* classes up to 3"),
        (STREET, np.zeros((1, 2, 2), np.float32), "float32"),
    ],
)
def test_what_is_no_such_answer(answer: AnswerKind, tensor: np.ndarray, fault: str) -> None:
    found = answer.fault(tensor)
    assert found is not None
    with pytest.raises(ValueError, match=fault):
        raise ValueError(found)
