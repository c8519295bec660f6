"""One network of a few lines for each kind of input and answer, with its Card."""

from typing import Any

import torch
from tests.export.conftest import CLASSES, seeded
from torch import Tensor, nn

from regard.contract.answers import Classes, LabelMap, Sequence
from regard.contract.card import Card, Origin
from regard.contract.inputs import FramesInput, ImageInput, TokensInput
from regard.contract.state import State, StateTensor
from regard.models.decoding.generated import Generated
from regard.models.decoding.greedy import greedy
from regard.models.decoding.stepwise import Step

WORDS = ("<pad>", "<unk>", "<end>", "a", "red", "blue", "ball", "box")
SIDE, LONGEST = 16, 6
IMAGE_INPUT = ImageInput(height=SIDE, width=SIDE, resize="stretch")
ANY_SIZE = ImageInput(height=SIDE, width=SIDE, resize="none", dynamic_size=True, min_size=8, max_size=64)
TEXT = TokensInput(vocabulary=WORDS, end="<end>", longest=LONGEST)
SEQUENCE = Sequence(vocabulary=WORDS, longest=LONGEST, aligned=True)
LABELS = tuple(f"label {index}" for index in range(CLASSES))


def card(inputs: Any, answer: Any, **fields: Any) -> Card:
    return Card(name="toy", inputs=inputs, answer=answer, origin=Origin(builder="tests:build"), **fields)


class Writer(nn.Module):
    """Writes words by looking at places (B, S, 8), one at a time."""

    longest = LONGEST

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), 8)
        self.cell = nn.GRUCell(16, 8)
        self.scores = nn.Linear(8, len(WORDS))

    def start(self, places: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        return (places.amax(dim=1),)

    def decode(self, token: Tensor, position: Tensor, memory: Any, state: Any) -> Step:
        places, hidden = memory[0], state[0]
        likeness = (places @ hidden.unsqueeze(2)).squeeze(2)
        if len(memory) > 1:  # padding is not looked at
            likeness = likeness.masked_fill(memory[1] == 0, -torch.inf)
        weights = likeness.softmax(dim=1)
        seen = (weights.unsqueeze(1) @ places).squeeze(1)
        hidden = self.cell(torch.cat([self.embedding(token), seen], dim=1), hidden)
        opinion = 4 * (8 * hidden).sin()  # untrained, and yet other words for other sources
        return Step(self.scores(opinion), (hidden,), weights)

    def forward(self, *inputs: Tensor) -> Generated:
        return greedy(self, *inputs)


class Captioner(Writer):
    """Image (B, 3, H, W) -> words."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.patches(x).relu().flatten(2).transpose(1, 2),)


class Translator(Writer):
    """Words (B, L) -> words."""

    def __init__(self, *, masked: bool = True) -> None:
        super().__init__()
        self.masked = masked
        self.source = nn.Embedding(len(WORDS), 8)

    def encode(self, tokens: Tensor) -> tuple[Tensor, ...]:
        places = self.source(tokens) + 1
        if not self.masked:
            return (places,)
        return places * (tokens > 0).unsqueeze(2), (tokens > 0).long()


class Asked(nn.Module):
    """Image (B, 3, H, W) and question (B, L) -> logits (B, CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 8, 4, stride=4)
        self.words = nn.Embedding(len(WORDS), 8)
        self.scores = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        words = (self.words(tokens) * (tokens > 0).unsqueeze(2)).sum(dim=1)
        return self.scores(self.image(x).relu().mean(dim=(2, 3)) * words)


class Answerer(nn.Module):
    """Story (B, S, L) and question (B, L) -> logits (B, CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS), 8, padding_idx=0)
        self.scores = nn.Linear(8, CLASSES)

    def forward(self, story: Tensor, question: Tensor) -> Tensor:
        facts = (self.words(story) * (story > 0).unsqueeze(3)).sum(dim=2)  # (B, S, 8)
        asked = (self.words(question) * (question > 0).unsqueeze(2)).sum(dim=1)
        weights = (facts @ asked.unsqueeze(2)).masked_fill((story == 0).all(dim=2, keepdim=True), -torch.inf)
        return self.scores((weights.softmax(dim=1) * facts).sum(dim=1) + asked)


class Film(nn.Module):
    """Frames (B, T, 3, H, W) -> logits (B, CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 3, padding=1)
        self.scores = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.conv(x.transpose(1, 2)).relu().amax(dim=(2, 3, 4)))


class Remembering(nn.Module):
    """A segmenter whose features are half those of the frame before: a session of images (B, 3, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, padding=1)
        self.scores = nn.Conv2d(4, CLASSES, 1)

    def initial_state(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.new_zeros((x.shape[0], 4, *x.shape[2:])), x.new_zeros((x.shape[0], 1))

    def step(self, x: Tensor, before: Tensor, count: Tensor) -> tuple[Tensor, ...]:
        features = 0.5 * before + self.features(x).relu()
        return self.scores(features) + count[:, :, None, None], features, count + 0.125


STATE = State(tensors=(StateTensor(name="features", dims=(4, -1, -1)), StateTensor(name="count", dims=(1,))))
CLASSES_ANSWER, MAP = Classes(labels=LABELS), LabelMap(labels=LABELS)


def toys() -> dict[str, tuple[nn.Module, Card]]:
    """Of every kind, by name."""
    story = TEXT.model_copy(update={"name": "story", "sentences": 4, "end": None})
    question = TEXT.model_copy(update={"name": "question"})
    frames = FramesInput(frames=3, height=SIDE, width=SIDE, resize="stretch")
    return {
        "caption": (seeded(Captioner()), card((ANY_SIZE,), SEQUENCE)),
        "translation": (seeded(Translator()), card((TEXT,), SEQUENCE)),
        "asked": (seeded(Asked()), card((IMAGE_INPUT, question), CLASSES_ANSWER)),
        "story": (seeded(Answerer()), card((story, question), CLASSES_ANSWER)),
        "frames": (seeded(Film()), card((frames,), CLASSES_ANSWER)),
        "session": (seeded(Remembering()), card((ANY_SIZE,), MAP, state=STATE)),
    }
