"""What each of these trainings says, and what all of them do with it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from regard.contract.answers import Answer, Classes
from regard.contract.card import Card, Origin
from regard.models import catalog
from regard.models.interface import WithInterface
from regard.models.training.families.digits import CLASSES, LICENCE, SOURCE, Digits, as_input, shifted
from regard.models.training.families.fit import Batch, shuffled
from regard.models.training.ship import ship


class Training(ABC):
    """One network of the catalog, trained on digits.

    Attributes:
        name: of the weights.
        builder: of the network, in the catalog.
        options: it is built with.
        answer: with the labels of the data.
        data: what the images are, made of the digits.
    """

    name: ClassVar[str]
    builder: ClassVar[str]
    options: ClassVar[dict[str, Any]]
    answer: ClassVar[Answer]
    data: ClassVar[str] = SOURCE

    def __init__(self, train: Digits, held_out: Digits, seed: int) -> None:
        self.train, self.held_out, self.seed = train, held_out, seed
        self.begin()

    def begin(self) -> None:
        """Draw from the seed anew, as every network's training does, be it alone or after another."""
        self.random = torch.Generator().manual_seed(self.seed)
        torch.manual_seed(self.seed)

    @abstractmethod
    def teach(self, network: nn.Module) -> None:
        """Train the network in place."""

    @abstractmethod
    def measure(self, network: nn.Module) -> dict[str, float]:
        """Its metrics on the digits held out."""

    @abstractmethod
    def baselines(self) -> dict[str, float]:
        """Metrics of what it is compared with, trained the same way."""

    def build(self) -> nn.Module:
        """The network, untrained."""
        return catalog.build(self.builder, **self.options)

    def run(self, out: Path) -> Card:
        """Train the network and its baselines, and write weights and Card into a folder."""
        self.begin()
        network = self.build()
        assert isinstance(network, WithInterface)
        self.teach(network)
        card = Card(
            name=self.name,
            inputs=network.interface().inputs,
            answer=self.answer,
            origin=Origin(
                builder=self.builder,
                options=self.options,
                data=self.data,
                licence=LICENCE,
                metrics=self.baselines(),
            ),
        )
        return ship(card, network, self.measure, out)


class ReadingDigits(Training):
    """A classifier of single digits, each moved by up to two pixels whenever it is seen."""

    answer = Classes(labels=CLASSES)

    def batches(self) -> Iterator[Batch]:
        for chosen in shuffled(len(self.train), 64, self.random):
            yield as_input(shifted(self.train.images[chosen], 2, self.random)), self.train.targets[chosen]

    def measure(self, network: nn.Module) -> dict[str, float]:
        return {"top1": top1(network(as_input(self.held_out.images)), self.held_out.targets)}


def top1(scores: Tensor, targets: Tensor) -> float:
    """The fraction of rows (B, K) whose largest score is the target's."""
    return (scores.argmax(dim=1) == targets).double().mean().item()
