"""The kinds of input: their tensors, each rule broken once, and what is no batch of them."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from regard.contract.inputs import FramesInput, ImageInput, Input, TokensInput

WORDS = ("<pad>", "<unk>", "<end>", "red", "blue")
IMAGE = ImageInput(height=4, width=6, resize="stretch", max_batch=2)
ANY = ImageInput(height=40, width=60, resize="none", dynamic_size=True, max_size=64)
CLIP = FramesInput(frames=3, height=4, width=6, resize="stretch")
QUESTION = TokensInput(name="question", vocabulary=WORDS, longest=5)
STORY = TokensInput(name="story", vocabulary=WORDS, longest=5, sentences=2)


@pytest.mark.parametrize(
    ("taken", "name", "dims"),
    [
        (IMAGE, "image", (4, 6, 3)),
        (ANY, "image", (-1, -1, 3)),
        (CLIP, "frames", (3, 4, 6, 3)),
        (QUESTION, "question", (-1,)),
        (STORY, "story", (-1, -1)),
    ],
)
def test_tensors(taken: Input, name: str, dims: tuple[int, ...]) -> None:
    assert (taken.tensor, taken.dims) == (name, dims)
    batch = np.ones((2, *(dim if dim > 0 else 33 if taken is ANY else 2 for dim in dims)), taken.dtype)
    assert taken.fault(batch) is None
    assert "dimensions" in str(taken.fault(batch[0])) or "pixels" in str(taken.fault(batch[0]))
    assert "float16" in str(taken.fault(batch.astype(np.float16)))


@pytest.mark.parametrize(
    ("taken", "shape", "fault"),
    [
        (IMAGE, (1, 4, 5, 3), r"takes pixels \(batch, 4, 6, 3\), got \(1, 4, 5, 3\)"),
        (IMAGE, (3, 4, 6, 3), "takes batches of 1 to 2, got 3"),
        (IMAGE, (0, 4, 6, 3), "takes batches of 1 to 2, got 0"),
        (ANY, (1, 31, 40, 3), "takes sides of 32 to 64 pixels, got 31 x 40"),
        (ANY, (1, 40, 65, 3), "takes sides of 32 to 64 pixels, got 40 x 65"),
        (CLIP, (1, 2, 4, 6, 3), r"takes pixels \(batch, 3, 4, 6, 3\), got \(1, 2, 4, 6, 3\)"),
        (QUESTION, (1, 6), "takes up to 5 words, got 6"),
        (QUESTION, (1, 0), "takes up to 5 words, got 0"),
        (STORY, (1, 3, 5), "takes up to 2 x 5 words, got 3 x 5"),
        (STORY, (17, 2, 5), "takes batches of 1 to 16, got 17"),
    ],
)
def test_what_is_no_batch(taken: Input, shape: tuple[int, ...], fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{fault}$"):
        raise ValueError(taken.fault(np.zeros(shape, taken.dtype)))


@pytest.mark.parametrize("number", [-1, 5])
def test_a_number_that_is_no_word(number: int) -> None:
    assert "has 5 words, got numbers from" in str(QUESTION.fault(np.array([[number]])))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Bad Name"}, "name"),
        ({"vocabulary": ("red", "<pad>", "<unk>")}, "first word must be padding '<pad>', whose number is 0"),
        ({"vocabulary": ("<pad>",)}, "at least 2 items"),
        ({"vocabulary": ("<pad>", "red")}, "unknown '<unk>' is no word of the vocabulary: add it, or set"),
        ({"vocabulary": (*WORDS, "red")}, "has the word 'red' twice"),
        ({"vocabulary": (*WORDS, "Green")}, "no text holds the word 'Green': write it 'green', or set"),
        ({"vocabulary": (*WORDS, "cafe\N{COMBINING ACUTE ACCENT}")}, "composed form"),
        ({"end": "<stop>"}, "end '<stop>' is no word of the vocabulary"),
        ({"end": "<pad>"}, "must be different words"),
        ({"end": "<end>", "longest": 1}, "longest is 1, which leaves no word beside end"),
        ({"longest": 0}, "longest"),
        ({"sentences": 0}, "sentences"),
        ({"max_batch": 0}, "max_batch"),
        ({"pattern": "("}, r"'\(' is no regular expression: missing \)"),
        ({"pattern": r"\w*"}, "matches the empty text: let it match one letter at least"),
        ({"sentence_pattern": "[.]*"}, "matches the empty text"),
    ],
)
def test_each_rule_of_tokens(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TokensInput(**{"vocabulary": WORDS, "longest": 5} | changes)


def test_frames_keep_the_rules_of_an_image() -> None:
    with pytest.raises(ValidationError, match="std must be positive"):
        FramesInput(frames=2, height=4, width=4, resize="stretch", std=(1, 0, 1))
    with pytest.raises(ValidationError, match="frames"):
        FramesInput(frames=0, height=4, width=4, resize="stretch")
