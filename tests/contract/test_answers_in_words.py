"""Answers in words: what is served, when two agree, the text that a client is given, and its pictures."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from regard.contract.answers import Sequence
from regard.contract.results import Text
from regard.contract.results.text import CELL, grid_of
from regard.errors import InvalidInput

WORDS = ("<pad>", "<unk>", "<end>", "a", "red", "owl")
CAPTION = Sequence(vocabulary=WORDS, longest=4, aligned=True)
TOKENS = np.array([3, 4, 5, 2])
SCORES = np.array([-0.5, -0.25, -1.0, -0.125], np.float32)
LOOKS = np.array([[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0, 0, 1, 0, 0, 0]], np.float32)


class Generated(NamedTuple):
    tokens: Tensor
    log_probabilities: Tensor
    alignment: Tensor | None


@pytest.mark.parametrize("aligned", [True, False])
def test_what_is_served(aligned: bool) -> None:
    answer = Sequence(vocabulary=WORDS, longest=4, aligned=aligned)
    looks = torch.rand(2, 4, 6) if aligned else None
    outputs = answer.outputs(Generated(torch.ones(2, 4, dtype=torch.long), torch.zeros(2, 4), looks))
    assert list(outputs) == ["sequence", "log_probabilities", "alignment"][: 2 + aligned]
    for name, (dtype, dims) in answer.tensors().items():
        array = outputs[name].numpy()
        assert array.dtype == dtype
        assert all(dim in (-1, got) for dim, got in zip(dims, array.shape[1:], strict=True))
    assert answer.scored_as in outputs
    assert answer.fault(outputs["sequence"].numpy()) is None
    assert answer.nbytes(2, 9, 9) == 2 * 4 * 8


def test_sequences_agree_in_every_word() -> None:
    other = np.stack([TOKENS, TOKENS, [3, 4, 2, 0]])
    expected = np.stack([TOKENS] * 3)
    assert CAPTION.agreement(expected, other) == pytest.approx(2 / 3)
    assert CAPTION.agreement(expected, expected[:, :3]) == 0


def test_the_text() -> None:
    text = CAPTION.result(TOKENS, SCORES)
    assert (text.text, text.words, text.tokens) == ("a red owl", ("a", "red", "owl"), (3, 4, 5, 2))
    assert text.scores == (-0.5, -0.25, -1.0)
    assert text.log_probability == -1.875  # the end's is part of it


def test_a_text_without_an_end_in_it_and_one_without_words() -> None:
    assert CAPTION.result(np.array([3, 4, 5, 5]), SCORES).text == "a red owl owl"
    empty = CAPTION.result(np.array([2, 0, 0, 0]), SCORES)
    assert (empty.text, empty.tokens, empty.scores, empty.log_probability) == ("", (2,), (), -0.5)


def test_letters_are_joined_without_a_space() -> None:
    letters = Sequence(vocabulary=("<pad>", "<end>", "1", "9"), longest=3, joiner="")
    assert letters.result(np.array([2, 3, 1]), SCORES[:3]).text == "19"


def test_where_a_word_looks() -> None:
    text = CAPTION.result(TOKENS, SCORES, LOOKS, size=(20, 30))
    picture = np.asarray(text.overlay(Image.new("RGB", (60, 40)), word=2, alpha=1.0)).astype(int).sum(axis=2)
    assert picture[35, 55] > 400  # the last of 2 x 3 places
    assert picture[5, 5] == 0
    with pytest.raises(InvalidInput, match="the words are 0 to 2, got 3"):
        text.overlay(Image.new("RGB", (60, 40)), word=3)
    with pytest.raises(InvalidInput, match="draw it by matrix"):
        CAPTION.result(TOKENS, SCORES, LOOKS).overlay(Image.new("RGB", (60, 40)), word=0)
    with pytest.raises(InvalidInput, match="gives no alignment"):
        CAPTION.result(TOKENS, SCORES).overlay(Image.new("RGB", (60, 40)), word=0)


def test_the_matrix_of_an_alignment() -> None:
    text = CAPTION.result(TOKENS, SCORES, LOOKS)
    picture = np.asarray(text.matrix(["ein", "roter", "Uhu"]))
    squares = picture[-3 * CELL :, -3 * CELL :][CELL // 2 :: CELL, CELL // 2 :: CELL]
    assert squares.tolist() == [[0, 255, 255], [255, 0, 255], [255, 255, 255]]
    assert picture[:, : -3 * CELL].min() < 128  # the words beside it
    with pytest.raises(InvalidInput, match="the alignment is to 6 words, got 7"):
        text.matrix(["x"] * 7)
    silent = CAPTION.result(np.array([2, 0, 0, 0]), SCORES, LOOKS)
    for said, read in ((text, []), (silent, ["ein"])):
        with pytest.raises(InvalidInput, match="there is no alignment to draw"):
            said.matrix(read)


def test_texts_are_compared_by_what_they_say() -> None:
    one, other = (CAPTION.result(TOKENS, SCORES, looks) for looks in (LOOKS, None))
    assert one == other
    assert isinstance(one, Text)


@pytest.mark.parametrize(
    ("places", "height", "width", "grid"),
    [
        (49, 224, 224, (7, 7)),
        (6, 20, 30, (2, 3)),
        (6, 30, 20, (3, 2)),
        (7, 10, 10, (1, 7)),
        (1, 3, 5, (1, 1)),
    ],
)
def test_the_grid_of_an_images_places(places: int, height: int, width: int, grid: tuple[int, int]) -> None:
    assert sorted(grid_of(places, height, width)) == sorted(grid)
    assert places == 7 or grid_of(places, height, width) == grid


@pytest.mark.parametrize(
    ("tensor", "fault"),
    [
        (np.zeros((2, 3), np.int64), r"answers 4 words, but the model with int64 of shape \(2, 3\)"),
        (np.zeros((2, 4), np.float32), "with float32"),
        (np.full((2, 4), 6), "has 6 words, but the model answers numbers from 6 to 6"),
        (np.full((2, 4), -1), "numbers from -1"),
    ],
)
def test_what_is_no_sequence(tensor: np.ndarray, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        raise ValueError(CAPTION.fault(tensor))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": ("a", "<pad>", "<end>")}, "first word must be padding"),
        ({"vocabulary": ("<pad>", "a")}, "end '<end>' is no word"),
        ({"vocabulary": ("<pad>", "<end>", "a", "a")}, "'a' twice"),
        ({"end": "<pad>"}, "padding and end must be different"),
        ({"longest": 0}, "longest"),
        ({"joiner": "-"}, "joiner"),
    ],
)
def test_each_rule(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Sequence(**{"vocabulary": WORDS, "longest": 4} | changes)
