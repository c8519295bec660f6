"""DRAM on pairs of digits, beside a convolutional network that reads both at once."""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from regard.contract.answers import Sequence
from regard.contract.tokens_input import END, PADDING, UNKNOWN
from regard.models.decoding.generated import END as END_NUMBER
from regard.models.networks.dram import DRAM
from regard.models.training.families.digits import CLASSES, SIDE, SOURCE, Digits, as_input
from regard.models.training.families.fit import Batch, fit, shuffled
from regard.models.training.families.glimpses.training import Training

CANVAS = 56
EPOCHS = 44
FIRST_DIGIT = 3  # number of the word "0"
HELD_OUT_PAIRS = 2000


class DRAMOnPairs(Training):
    """Two digits of 28 x 28 side by side, at any height, on 56 x 56; a glimpse for each label."""

    name = "dram_pairs"
    builder = "dram"
    options: ClassVar[dict[str, Any]] = {
        "image_size": CANVAS,
        "glimpse_size": 12,
        "scales": 3,
        "glimpses": 1,
        "width": 8,
        "hidden": 96,
    }
    answer = Sequence(vocabulary=(PADDING, UNKNOWN, END, *CLASSES), longest=3, joiner="", aligned=True)
    data = f"pairs made of {SOURCE}"

    def batches(self) -> Iterator[Batch]:
        for chosen in shuffled(len(self.train), 64, self.random):
            partners = torch.randint(len(self.train), (len(chosen),), generator=self.random)
            yield pairs(self.train, chosen, partners, self.random)

    def test_pairs(self) -> Batch:
        """The same pairs whenever it is called."""
        random = torch.Generator().manual_seed(1)
        both = torch.randint(len(self.held_out), (2, HELD_OUT_PAIRS), generator=random)
        return pairs(self.held_out, both[0], both[1], random)

    def teach(self, network: nn.Module) -> None:
        assert isinstance(network, DRAM)
        fit(
            network,
            network.training_loss,
            self.batches,
            epochs=EPOCHS,
            learning_rate=2e-3,
            slow=("locator", "r2", "context", "start_place"),
        )

    def measure(self, network: nn.Module) -> dict[str, float]:
        images, answers = self.test_pairs()
        found = torch.cat([network(part).tokens for part in images.split(250)])
        right = found == answers
        return {
            "exact_match": right.all(dim=1).double().mean().item(),
            "top1_digit": right[:, :2].double().mean().item(),
        }

    def baselines(self) -> dict[str, float]:
        self.begin()
        network = PlainCNN()
        criterion = nn.CrossEntropyLoss()

        def loss(images: Tensor, answers: Tensor) -> Tensor:
            return criterion(network(images).flatten(0, 1), answers[:, :2].flatten() - FIRST_DIGIT)

        fit(network, loss, self.batches, epochs=EPOCHS)
        with torch.inference_mode():
            images, answers = self.test_pairs()
            found = torch.cat([network(part).argmax(dim=2) for part in images.split(250)]) + FIRST_DIGIT
        return {"exact_match_cnn": (found == answers[:, :2]).all(dim=1).double().mean().item()}


class PlainCNN(nn.Module):
    """Two digits from the whole image, (B, 1, 56, 56) -> (B, 2, 10). That there are two it need not find
    out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(2))
        for before, after in ((1, 8), (8, 16), (16, 16)):
            self.layers.extend([nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)])
        self.layers.extend([nn.Flatten(), nn.Linear(16 * 3 * 3, 128), nn.ReLU(), nn.Linear(128, 20)])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).unflatten(1, (2, 10))


def pairs(digits: Digits, left: Tensor, right: Tensor, random: torch.Generator) -> Batch:
    """Images of two digits each, the left one first, and their words with the end: indices (B,), (B,) ->
    (B, 1, 56, 56) in 0..1, (B, 3).
    """
    count, free = len(left), CANVAS - 2 * SIDE
    canvas = torch.zeros(count, CANVAS, CANVAS, dtype=torch.uint8)
    first = torch.randint(free + 1, (count,), generator=random)
    second = first + (torch.rand(count, generator=random) * (free + 1 - first)).long() + SIDE
    rows = torch.randint(CANVAS - SIDE + 1, (2, count), generator=random)
    for chosen, columns, tops in ((left, first, rows[0]), (right, second, rows[1])):
        for index in range(count):
            top, column = int(tops[index]), int(columns[index])
            canvas[index, top : top + SIDE, column : column + SIDE] = digits.images[chosen[index]]
    labels = torch.stack([digits.targets[left], digits.targets[right]], dim=1) + FIRST_DIGIT
    end = torch.full((count, 1), END_NUMBER)
    return as_input(canvas), torch.cat([labels, end], dim=1)
