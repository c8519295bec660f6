"""easy-VQA's data: questions as they come, captions made of their answers, and pairs of images."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from regard.errors import InvalidInput
from regard.export.graph.served_graph import Normalize
from regard.models.training.families.easy_vqa import (
    ANSWERS,
    CAPTION_WORDS,
    QUESTION_WORDS,
    Captions,
    captions_of,
    image_input,
    load_captions,
    load_questions,
    prepared,
    side_by_side,
)

QUESTIONS = [
    ("what is the blue shape?", "rectangle", 3),
    ("is there not a blue shape?", "no", 3),
    ("what color is the shape?", "red", 7),
    ("is a circle present?", "yes", 7),
    ("is no triangle present?", "yes", 7),
    ("is there a teal shape?", "no", 8),
    ("what shape is in the image?", "circle", 8),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "easy-vqa" / "train"
    (folder / "images").mkdir(parents=True)
    (folder / "questions.json").write_text(json.dumps(QUESTIONS))
    for number in (3, 7, 8):
        Image.new("RGB", (64, 64), (number, 0, 255)).save(folder / "images" / f"{number}.png")
    return tmp_path


def test_questions_belong_to_their_images(root: Path) -> None:
    found = load_questions(root, "train")
    assert found.images[:, 0, 0].tolist() == [[3, 0, 255], [7, 0, 255], [8, 0, 255]]
    assert found.image.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert [ANSWERS[answer] for answer in found.answers] == [answer for _, answer, _ in QUESTIONS]
    words = [QUESTION_WORDS[number] for number in found.words[0]]
    assert words == ["what", "is", "the", "blue", "shape", "<pad>"]
    assert len(found.words) == 7


def test_captions_are_what_questions_and_answers_say() -> None:
    """Of image 8 the colour is not said: that it is not teal does not count."""
    assert captions_of(QUESTIONS) == {3: "a blue rectangle", 7: "a red circle"}


def test_captions_come_with_their_images(root: Path) -> None:
    found = load_captions(root, "train")
    assert [[CAPTION_WORDS[word] for word in row] for row in found.words] == [
        ["a", "blue", "rectangle", "<end>"],
        ["a", "red", "circle", "<end>"],
    ]
    assert found.images[:, 0, 0, 0].tolist() == [3, 7]


def test_pairs_name_colours_in_alphabetic_order() -> None:
    numbers = {word: number for number, word in enumerate(CAPTION_WORDS)}
    texts = ["a red circle <end>", "a blue triangle <end>", "a red rectangle <end>", "a teal circle <end>"]
    words = torch.tensor([[numbers[word] for word in text.split()] for text in texts])
    alone = Captions(torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(4, 2, 2, 3), words)
    seen = set()
    for seed in range(20):
        pairs = side_by_side(alone, torch.Generator().manual_seed(seed))
        assert pairs.images.shape[1:] == (2, 4, 3)
        for image, row in zip(pairs.images, pairs.words, strict=True):
            left, right = int(image[0, 0, 0]), int(image[0, 3, 0])
            first, second = sorted((texts[left].split(), texts[right].split()), key=lambda each: each[1])
            said = [CAPTION_WORDS[word] for word in row]
            assert said == [*first[:-1], "and", *second]
            seen.add((left, right))
    reds = {(0, 2), (2, 0)}  # of one colour: no order
    assert seen == {(i, j) for i in range(4) for j in range(4) if i != j} - reds


def test_pixels_are_prepared_as_the_card_says() -> None:
    pixels = torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8)
    assert (prepared(pixels) - Normalize(image_input())(pixels)).abs().max() < 1e-5


def test_refuses_other_data(root: Path) -> None:
    with pytest.raises(InvalidInput, match=r"cannot read the questions .*No such file.*docs/data\.md"):
        load_questions(root, "test")
    path = root / "easy-vqa" / "train" / "questions.json"
    path.write_text('[["what?", 3]]')
    with pytest.raises(InvalidInput, match="holds no questions"):
        load_captions(root, "train")
    path.write_text('[["what is the purple shape?", "circle", 3]]')
    with pytest.raises(InvalidInput, match=r"are others: .*'purple'"):
        load_questions(root, "train")
