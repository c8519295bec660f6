"""Networks that answer in words about an image, trained on easy-VQA.

    python -m regard.models.training.families.vqa [NAME ...] --data ROOT --out FOLDER [--seed 0]

writes the weights and Cards of han_easy_vqa, adahan_easy_vqa, show_attend_tell_soft_easy_vqa,
show_attend_tell_hard_easy_vqa and cyclical_captioner_easy_vqa; the last three describe two images side by
side. The metrics are of the test images. Beside them stand those of baselines: of answers, what the question
alone tells, without the image; of captions, the most frequent one, and Show, Attend and Tell without
attention, given the mean of all places for every word.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.answers import Classes, Sequence
from regard.contract.card import Card, Origin
from regard.contract.inputs import Input
from regard.models import catalog
from regard.models.decoding.stepwise import Tensors
from regard.models.networks.han import HardAttentionNetwork
from regard.models.networks.show_attend_tell import SoftShowAttendTell
from regard.models.parts.question import QuestionEncoder
from regard.models.training.families import easy_vqa
from regard.models.training.families.easy_vqa import Captions, Questions, prepared, side_by_side
from regard.models.training.families.fit import Batch, fit, shuffled
from regard.models.training.ship import ship

IMAGES = 32  # of a batch
QUESTIONS = 256  # of a batch without images
EMBEDDING, HIDDEN = 32, 64
ANSWER_EPOCHS = {"han": 14, "adahan": 24}
CAPTION_EPOCHS = {"show_attend_tell_soft": 20, "show_attend_tell_hard": 40, "cyclical_captioner": 20}
ON_IMAGES: dict[str, Any] = {"backbone": "strided3", "width": 32, "image_size": easy_vqa.SIDE}
ON_QUESTIONS = ON_IMAGES | {
    "num_classes": len(easy_vqa.ANSWERS),
    "words": len(easy_vqa.QUESTION_WORDS),
    "longest": easy_vqa.LONGEST_QUESTION,
    "embedding": EMBEDDING,
    "hidden": HIDDEN,
    "fused": HIDDEN,
}
ON_CAPTIONS = ON_IMAGES | {
    "words": len(easy_vqa.CAPTION_WORDS),
    "longest": easy_vqa.LONGEST_CAPTION,
    "embedding": EMBEDDING,
    "hidden": HIDDEN,
}
ANSWERING: dict[str, dict[str, Any]] = {"han": ON_QUESTIONS | {"cells": 8}, "adahan": ON_QUESTIONS}
CAPTIONING: dict[str, dict[str, Any]] = {
    "show_attend_tell_soft": ON_CAPTIONS | {"attending": 32, "spread": 0.01},
    "show_attend_tell_hard": ON_CAPTIONS | {"attending": 32},
    "cyclical_captioner": ON_CAPTIONS,
}


class QuestionOnly(nn.Module):
    """The baseline of answers: HAN's reader and classifier, without an image."""

    def __init__(self) -> None:
        super().__init__()
        self.question = QuestionEncoder(len(easy_vqa.QUESTION_WORDS), EMBEDDING, HIDDEN)
        self.classifier = nn.Sequential(
            nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, len(easy_vqa.ANSWERS))
        )

    def forward(self, words: Tensor) -> Tensor:
        return self.classifier(self.question(words))


class WithoutAttention(SoftShowAttendTell):
    """The baseline of captions: every word is written from the mean of all places."""

    def log_weights(self, memory: Tensors, hidden: Tensor) -> Tensor:
        places = memory[1][:, :, 0]
        return torch.zeros_like(places).log_softmax(dim=1)


def answers(network: HardAttentionNetwork, images: Tensor, image: Tensor, words: Tensor) -> Tensor:
    """Class scores of questions (Q, L), each about one of the images, whose features are computed once."""
    return network.answer(network.fuse(network.features(images)[image], words))


def about(questions: Questions, numbers: Tensor) -> Batch:
    """All questions about some images: the images, each question's place among them, words and answers."""
    place = torch.full((len(questions.images),), -1)
    place[numbers] = torch.arange(len(numbers))
    asked = place[questions.image] >= 0
    images = prepared(questions.images[numbers])
    return images, place[questions.image[asked]], questions.words[asked], questions.answers[asked]


def fit_answers(network: HardAttentionNetwork, training: Questions, *, epochs: int, seed: int) -> None:
    """Train in place on batches of images, with all questions about them."""
    draw = torch.Generator().manual_seed(seed)

    def loss(images: Tensor, image: Tensor, words: Tensor, right: Tensor) -> Tensor:
        return F.cross_entropy(answers(network, images, image, words), right)

    def batches() -> Iterator[Batch]:
        return (about(training, numbers) for numbers in shuffled(len(training.images), IMAGES, draw))

    fit(network, loss, batches, epochs=epochs, learning_rate=2e-3)


def right_answers(network: HardAttentionNetwork, test: Questions) -> dict[str, float]:
    """The fraction of questions answered right, and the mean number of cells looked at for one."""
    right, cells = 0, 0.0
    for numbers in torch.arange(len(test.images)).split(100):
        images, image, words, expected = about(test, numbers)
        fused = network.fuse(network.features(images)[image], words)
        right += int((network.answer(fused).argmax(dim=1) == expected).sum())
        cells += network.attention.mask(fused).sum().item()
    return {"top1": right / len(test.answers), "cells_kept": cells / len(test.answers)}


def question_only(training: Questions, test: Questions, *, seed: int) -> dict[str, float]:
    """What the baseline reaches."""
    torch.manual_seed(seed)
    network, draw = QuestionOnly(), torch.Generator().manual_seed(seed)
    fit(
        network,
        lambda words, right: F.cross_entropy(network(words), right),
        lambda: (
            (training.words[i], training.answers[i]) for i in shuffled(len(training.words), QUESTIONS, draw)
        ),
        epochs=5,
        learning_rate=2e-3,
    )
    with torch.inference_mode():
        right = network(test.words).argmax(dim=1) == test.answers
    return {"top1_question_only": right.double().mean().item()}


def fit_captions(network: nn.Module, training: Captions, *, epochs: int, seed: int) -> None:
    """Train a captioner in place, on pairs that are drawn anew in every epoch."""
    loss: Callable[..., Tensor] = getattr(network, "training_loss")  # noqa: B009
    draw = torch.Generator().manual_seed(seed)

    def batches() -> Iterator[Batch]:
        pairs = side_by_side(training, draw)
        for chosen in shuffled(len(pairs.images), IMAGES, draw):
            yield prepared(pairs.images[chosen]), pairs.words[chosen]

    fit(network, loss, batches, epochs=epochs, learning_rate=2e-3)


def exact_captions(network: nn.Module, test: Captions) -> dict[str, float]:
    """The fraction of captions that are right in every word."""
    said = torch.cat([network(prepared(images)).tokens for images in test.images.split(100)])
    right = F.pad(test.words, (0, said.shape[1] - test.words.shape[1]))
    return {"exact_match": (said == right).all(dim=1).double().mean().item()}


def without_attention(training: Captions, test: Captions, *, seed: int) -> dict[str, float]:
    """What the baseline that looks at everything alike reaches."""
    torch.manual_seed(seed)
    alike = "show_attend_tell_soft"
    network = WithoutAttention(**CAPTIONING[alike])
    fit_captions(network, training, epochs=CAPTION_EPOCHS[alike], seed=seed)
    with torch.inference_mode():
        return {"exact_match_without_attention": exact_captions(network, test)["exact_match"]}


def most_frequent(training: Captions, test: Captions) -> dict[str, float]:
    """What always saying the training pairs' most frequent caption reaches."""
    found, counts = training.words.unique(dim=0, return_counts=True)
    right = (test.words == found[counts.argmax()]).all(dim=1)
    return {"exact_match_most_frequent": right.double().mean().item()}


def train_answers(
    name: str, out: Path, training: Questions, test: Questions, beside: dict[str, float], seed: int
) -> Card:
    """One network for questions, with the metrics of its baseline beside its own."""
    torch.manual_seed(seed)
    network = catalog.build(name, **ANSWERING[name])
    assert isinstance(network, HardAttentionNetwork)
    fit_answers(network, training, epochs=ANSWER_EPOCHS[name], seed=seed)
    inputs = (easy_vqa.image_input(), easy_vqa.question_input())
    card = _card(name, ANSWERING[name], inputs, Classes(labels=easy_vqa.ANSWERS), beside)
    return ship(card, network, lambda _: right_answers(network, test), out)


def train_captions(
    name: str, out: Path, training: Captions, test: Captions, beside: dict[str, float], seed: int
) -> Card:
    """One captioner, with the metrics of its baselines beside its own."""
    torch.manual_seed(seed)
    network = catalog.build(name, **CAPTIONING[name])
    fit_captions(network, training, epochs=CAPTION_EPOCHS[name], seed=seed)
    inputs = (easy_vqa.pair_input(),)
    card = _card(name, CAPTIONING[name], inputs, easy_vqa.caption_answer(), beside)
    return ship(card, network, lambda network: exact_captions(network, test), out)


def train(names: list[str], data: Path, out: Path, seed: int) -> Iterator[Card]:
    """Train what is asked for, each kind after its baselines."""
    answering = [name for name in names if name in ANSWERING]
    if answering:
        asked, tested = (easy_vqa.load_questions(data, split) for split in easy_vqa.SPLITS)
        beside = question_only(asked, tested, seed=seed)
        for name in answering:
            yield train_answers(name, out, asked, tested, beside, seed)
    captioning = [name for name in names if name in CAPTIONING]
    if captioning:
        training, alone = (easy_vqa.load_captions(data, split) for split in easy_vqa.SPLITS)
        test = side_by_side(alone, torch.Generator().manual_seed(0))
        pairs = side_by_side(training, torch.Generator().manual_seed(0))
        beside = most_frequent(pairs, test) | without_attention(training, test, seed=seed)
        for name in captioning:
            yield train_captions(name, out, training, test, beside, seed)


def _card(
    name: str,
    options: dict[str, Any],
    inputs: tuple[Input, ...],
    answer: Classes | Sequence,
    metrics: dict[str, float],
) -> Card:
    origin = Origin(
        builder=name, options=options, data=easy_vqa.SOURCE, licence=easy_vqa.LICENCE, metrics=metrics
    )
    return Card(name=f"{name}_easy_vqa", inputs=inputs, answer=answer, origin=origin)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*ANSWERING, *CAPTIONING]
    parser.add_argument("names", nargs="*", choices=known, default=known)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for card in train(given.names, given.data, given.out, given.seed):
        print(card.name, card.origin.metrics)
