"""easy-VQA: pictures of one coloured shape, questions about them, and captions made of the answers
(docs/data.md).

Zhou, easy-VQA, https://github.com/vzhou842/easy-VQA: 4000 images of 64 x 64 to train on and 1000 to test on,
as they come, with 38 575 and 9673 questions of 13 answers.

A caption is no sentence that a person wrote: "a red triangle" is made of what the questions about an image
and their answers say of it, which is enough for 3542 images to train on and 880 to test on. Two such images
side by side, of two colours, are "a blue circle and a red triangle": the colours in alphabetic order, and
nothing of where.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from regard.contract.answers import Sequence
from regard.contract.image_files import read_pixels
from regard.contract.image_input import ImageInput
from regard.contract.tokens_input import TokensInput
from regard.errors import InvalidInput

SIDE = 64
SOURCE = "easy-VQA, Zhou, 2019, from the PyPI package easy-vqa 1.0"
LICENCE = "MIT"
MEAN, STD = (0.90, 0.91, 0.90), (0.19, 0.19, 0.21)  # of the training images

SHAPES = ("circle", "rectangle", "triangle")
COLORS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
ANSWERS = ("no", "yes", *SHAPES, *COLORS)
NEGATIONS = frozenset({"no", "not"})
_FORMS = ("a", "color", "contain", "does", "image", "in", "is", "no", "not", "of", "present", "shape", "the")
QUESTION_WORDS = ("<pad>", *_FORMS, "there", "what", *SHAPES, *COLORS)
CAPTION_WORDS = ("<pad>", "<unk>", "<end>", "a", "and", *SHAPES, *COLORS)
LONGEST_QUESTION = 16  # words; the longest has 9
LONGEST_CAPTION = 10  # words, the end included; all have 8

Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")


@dataclass(frozen=True)
class Questions:
    """Questions about images.

    Attributes:
        images: uint8 (N, 64, 64, 3).
        image: of each question, its number: int64 (Q,).
        words: by number in QUESTION_WORDS, padded with 0: int64 (Q, L).
        answers: by number in ANSWERS: int64 (Q,).
    """

    images: Tensor
    image: Tensor
    words: Tensor
    answers: Tensor


@dataclass(frozen=True)
class Captions:
    """Images, uint8 (N, 64, W, 3), and a caption of each by number in CAPTION_WORDS, int64 (N, T)."""

    images: Tensor
    words: Tensor


def load_questions(root: Path, split: Split) -> Questions:
    """The questions of `root`/easy-vqa.

    Raises:
        InvalidInput: a file is missing, or holds something else.
    """
    entries = _entries(root, split)
    try:
        words = question_input().tokenizer.batch([question for question, _, _ in entries])
        answers = [ANSWERS.index(answer) for _, answer, _ in entries]
    except ValueError as error:
        raise InvalidInput(f"the questions in {root / 'easy-vqa' / split} are others: {error}") from None
    numbers = sorted({number for *_, number in entries})
    place = {number: place for place, number in enumerate(numbers)}
    return Questions(
        _images(root, split, numbers),
        torch.tensor([place[number] for *_, number in entries]),
        torch.from_numpy(words),
        torch.tensor(answers),
    )


def load_captions(root: Path, split: Split) -> Captions:
    """The images of `root`/easy-vqa of which questions and answers name both the colour and the shape.

    Raises:
        InvalidInput: a file is missing, or holds something else.
    """
    captions = captions_of(_entries(root, split))
    numbers = {word: number for number, word in enumerate(CAPTION_WORDS)}
    words = [[numbers[word] for word in (*caption.split(), "<end>")] for caption in captions.values()]
    return Captions(_images(root, split, list(captions)), torch.tensor(words))


def captions_of(entries: list[tuple[str, str, int]]) -> Mapping[int, str]:
    """The caption of each image whose colour and shape both come up: in an answer, in a question of another
    kind than yes or no, or in one that is affirmed.
    """
    words_of = question_input().tokenizer.words
    said: dict[int, set[str]] = {}
    for question, answer, number in entries:
        words = set(words_of(question))
        if answer not in ("yes", "no"):
            said.setdefault(number, set()).update(words, [answer])
        elif (answer == "yes") != bool(words & NEGATIONS):
            said.setdefault(number, set()).update(words)
    captions = {}
    for number, words in sorted(said.items()):
        colors, shapes = words & set(COLORS), words & set(SHAPES)
        if colors and shapes:
            captions[number] = f"a {colors.pop()} {shapes.pop()}"
    return captions


def side_by_side(captions: Captions, draw: torch.Generator) -> Captions:
    """Images and captions of one shape, each beside another at random, where the colours differ: (N, 64, 128,
    3) and (N, 8), N somewhat smaller.
    """
    other = torch.randperm(len(captions.words), generator=draw)
    color = captions.words[:, 1]
    differ = color != color[other]
    images = torch.cat([captions.images, captions.images[other]], dim=2)[differ]
    first = torch.where((color < color[other]).unsqueeze(1), captions.words, captions.words[other])
    second = torch.where((color < color[other]).unsqueeze(1), captions.words[other], captions.words)
    joined = torch.full_like(color, CAPTION_WORDS.index("and")).unsqueeze(1)
    return Captions(images, torch.cat([first[:, :-1], joined, second], dim=1)[differ])


def image_input() -> ImageInput:
    """The images, as a Card describes them."""
    return ImageInput(height=SIDE, width=SIDE, resize="stretch", mean=MEAN, std=STD)


def pair_input() -> ImageInput:
    """Two images side by side, as a Card describes them."""
    return ImageInput(height=SIDE, width=2 * SIDE, resize="stretch", mean=MEAN, std=STD)


def question_input() -> TokensInput:
    """The questions, as a Card describes them; other words are refused."""
    return TokensInput(
        name="question",
        vocabulary=QUESTION_WORDS,
        pattern="[a-z]+",
        unknown=None,
        longest=LONGEST_QUESTION,
    )


def caption_answer() -> Sequence:
    """The captions, as a Card describes them."""
    return Sequence(vocabulary=CAPTION_WORDS, longest=LONGEST_CAPTION, aligned=True)


def prepared(images: Tensor) -> Tensor:
    """Pixels as a network takes them: uint8 (B, H, W, 3) -> float32 (B, 3, H, W)."""
    return ((images.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)


def _entries(root: Path, split: Split) -> list[tuple[str, str, int]]:
    """Question, answer and number of the image."""
    path = root / "easy-vqa" / split / "questions.json"
    try:
        return [(str(q), str(a), int(i)) for q, a, i in json.loads(path.read_text(encoding="utf-8"))]
    except OSError as error:
        raise InvalidInput(f"cannot read the questions {path}: {error.strerror}; see docs/data.md") from None
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{path} holds no questions: {error}") from None


def _images(root: Path, split: Split, numbers: list[int]) -> Tensor:
    folder = root / "easy-vqa" / split / "images"
    return torch.from_numpy(np.stack([read_pixels(folder / f"{number}.png") for number in numbers]))
