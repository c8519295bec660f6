"""Networks that read and write, trained on generated dates and stories.

    python -m regard.models.training.families.language dates stories --out FOLDER [--seed 0]

writes the weights and Cards of rnnsearch_dates and transformer_dates, of memn2n_stories. The metrics are of
days and stories that were never trained on. Beside them stand those of a baseline trained alike: RNNsearch
that is given the source's last states in place of what it attends to, and MemN2N of one hop.
"""

import argparse
import random
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.card import Card, Origin
from regard.models import catalog
from regard.models.decoding.stepwise import Tensors
from regard.models.networks.memn2n import MemN2N
from regard.models.networks.rnnsearch import RNNSearch
from regard.models.networks.transformer import Transformer
from regard.models.training.families import dates, stories
from regard.models.training.families.fit import Batch, fit, shuffled
from regard.models.training.ship import ship

BATCH = 128
DATE_BATCHES = 100  # an epoch's; all drawn anew
STORIES = 20_000  # to train on
TESTED = 2000  # days, and stories
DATE_SIZES: dict[str, Any] = {
    "words": len(dates.text_input().vocabulary),
    "answer_words": len(dates.iso_answer().vocabulary),
    "longest": dates.iso_answer().longest,
}
RNNSEARCH = DATE_SIZES | {"width": 32, "hidden": 64, "maxout": 32}
TRANSFORMER = DATE_SIZES | {"width": 64, "depth": 2, "heads": 4, "hidden": 128}
MEMN2N: dict[str, Any] = {
    "words": len(stories.inputs()[0].vocabulary),
    "num_classes": len(stories.PLACES),
    "sentences": stories.SENTENCES,
    "width": 32,
}


class WithoutAttention(RNNSearch):
    """The baseline: every word is written from the same summary, the last state of either direction, as by
    Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014.
    """

    def encode(self, source: Tensor) -> Tensors:
        h, _, visible = super().encode(source)
        forward, backward = h.chunk(2, dim=2)
        last = forward[torch.arange(len(h)), visible.sum(dim=1) - 1]
        summary = torch.cat([last, backward[:, 0]], dim=1).unsqueeze(1)  # (B, 1, 2 n): one place to attend to
        return summary, self.score.key(summary), visible[:, :1]


def dates_batch(among: list[dates.Day], count: int, draw: random.Random) -> Batch:
    """Dates as written and in ISO form, by number: int64 (B, L), (B, 11)."""
    texts, isos = dates.written(among, count, draw)
    answer = dates.iso_answer()
    numbers = {word: number for number, word in enumerate(answer.vocabulary)}
    targets = [[numbers[word] for word in (*iso, answer.end)] for iso in isos]
    return torch.from_numpy(dates.text_input().tokenizer.batch(texts)), torch.tensor(targets)


def fit_dates(network: RNNSearch | Transformer, *, epochs: int, seed: int) -> None:
    """Train a translator of dates in place."""
    training, _ = dates.days()
    draw = random.Random(seed)  # noqa: S311  no secret
    fit(
        network,
        network.training_loss,
        lambda: (dates_batch(training, BATCH, draw) for _ in range(DATE_BATCHES)),
        epochs=epochs,
        learning_rate=3e-3,
    )


def exact_dates(network: nn.Module) -> dict[str, float]:
    """The fraction of held-out days that are right in every character."""
    _, held_out = dates.days()
    source, target = dates_batch(held_out, TESTED, random.Random(0))  # noqa: S311
    return {"exact_match": (network(source).tokens == target).all(dim=1).double().mean().item()}


def train_dates(out: Path, *, epochs: int = 12, seed: int = 0) -> list[Card]:
    """RNNsearch, the Transformer, and their common baseline."""
    torch.manual_seed(seed)
    baseline = WithoutAttention(**RNNSEARCH)
    fit_dates(baseline, epochs=epochs, seed=seed)
    with torch.inference_mode():
        beside = {"exact_match_without_attention": exact_dates(baseline)["exact_match"]}
    cards = []
    for name, builder, options in (
        ("rnnsearch_dates", "rnnsearch", RNNSEARCH),
        ("transformer_dates", "transformer", TRANSFORMER),
    ):
        torch.manual_seed(seed)
        network = catalog.build(builder, **options)
        assert isinstance(network, RNNSearch | Transformer)
        fit_dates(network, epochs=epochs, seed=seed)
        origin = _origin(builder, options, dates.SOURCE, beside)
        card = Card(name=name, inputs=(dates.text_input(),), answer=dates.iso_answer(), origin=origin)
        cards.append(ship(card, network, exact_dates, out))
    return cards


def stories_batch(told: list[stories.Story]) -> Batch:
    """Stories, questions and answers by number: int64 (B, S, L), (B, L'), (B,)."""
    story, question = (each.tokenizer for each in stories.inputs())
    return (
        torch.from_numpy(story.batch([each.text for each in told])),
        torch.from_numpy(question.batch([each.question for each in told])),
        torch.tensor([stories.PLACES.index(each.answer) for each in told]),
    )


def fit_stories(network: MemN2N, training: Batch, *, epochs: int, linear_epochs: int, seed: int) -> None:
    """Train in place on what `stories_batch` gives, at first without the softmax over the memory."""
    draw = torch.Generator().manual_seed(seed)

    def loss(story: Tensor, question: Tensor, answer: Tensor, *, linear: bool) -> Tensor:
        return F.cross_entropy(network.explained(story, question, linear=linear)[0], answer)

    for linear, count in ((True, linear_epochs), (False, epochs)):
        fit(
            network,
            partial(loss, linear=linear),
            lambda: (tuple(each[i] for each in training) for i in shuffled(len(training[0]), BATCH, draw)),
            epochs=count,
            learning_rate=3e-3,
        )


def right_answers(network: nn.Module) -> dict[str, float]:
    """The fraction of questions about held-out stories that are answered right."""
    story, question, answer = stories_batch(stories.stories(TESTED, 0, held_out=True))
    return {"top1": (network(story, question).argmax(dim=1) == answer).double().mean().item()}


def train_stories(out: Path, *, epochs: int = 20, linear_epochs: int = 5, seed: int = 0) -> list[Card]:
    """MemN2N of three hops, and of one as the baseline."""
    training = stories_batch(stories.stories(STORIES, seed, held_out=False))
    found: dict[int, MemN2N] = {}
    for hops in (1, 3):
        torch.manual_seed(seed)
        found[hops] = MemN2N(**MEMN2N, hops=hops)
        fit_stories(found[hops], training, epochs=epochs, linear_epochs=linear_epochs, seed=seed)
    with torch.inference_mode():
        beside = {"top1_one_hop": right_answers(found[1])["top1"]}
    origin = _origin("memn2n", MEMN2N | {"hops": 3}, stories.SOURCE, beside)
    card = Card(name="memn2n_stories", inputs=stories.inputs(), answer=stories.answer(), origin=origin)
    return [ship(card, found[3], right_answers, out)]


def _origin(builder: str, options: dict[str, Any], data: str, metrics: dict[str, float]) -> Origin:
    return Origin(builder=builder, options=options, data=data, licence="Apache-2.0", metrics=metrics)


TRAININGS = {"dates": train_dates, "stories": train_stories}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=TRAININGS, default=[*TRAININGS])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name in given.names:
        for card in TRAININGS[name](given.out, seed=given.seed):
            print(card.name, card.origin.metrics)
