"""DRAW on digits: the classifier beside a linear one, the reconstruction beside the mean digit."""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.answers import ImageAnswer
from regard.models.losses.criterion import cross_entropy
from regard.models.networks.draw import DRAW
from regard.models.training.families.digits import as_input
from regard.models.training.families.fit import Batch, fit, shuffled
from regard.models.training.families.glimpses.training import ReadingDigits, Training

STEPS, LATENT, BATCH = 6, 10, 128  # of the reconstruction


class DRAWClassifierOnDigits(ReadingDigits):
    """Four reads of 8 x 8 filters."""

    name = "draw_classifier_digits"
    builder = "draw_classifier"
    options: ClassVar[dict[str, Any]] = {
        "image_size": 28,
        "glimpses": 4,
        "read_size": 8,
        "hidden": 128,
    }

    def teach(self, network: nn.Module) -> None:
        self.teach_classes(network, epochs=20)

    def teach_classes(self, network: nn.Module, epochs: int) -> None:
        criterion = cross_entropy()
        fit(
            network,
            lambda x, targets: criterion(network(x), targets),
            self.batches,
            epochs=epochs,
            learning_rate=2e-3,
        )

    def baselines(self) -> dict[str, float]:
        self.begin()
        linear = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
        self.teach_classes(linear, epochs=20)
        with torch.inference_mode():
            return {"top1_linear": self.measure(linear)["top1"]}


class DRAWOnDigits(Training):
    """Six strokes of 5 x 5, ten latent numbers each."""

    name = "draw_digits"
    builder = "draw"
    options: ClassVar[dict[str, Any]] = {"steps": STEPS, "hidden": 128}
    answer = ImageAnswer(channels=1)

    def batches(self) -> Iterator[Batch]:
        for chosen in shuffled(len(self.train), BATCH, self.random):
            yield (
                as_input(self.train.images[chosen]),
                torch.randn(BATCH, STEPS, LATENT, generator=self.random),
            )

    def teach(self, network: nn.Module) -> None:
        assert isinstance(network, DRAW)
        fit(
            network,
            lambda x, noise: network.bound(x, noise).mean(),
            self.batches,
            epochs=30,
            learning_rate=3e-3,
        )

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Mean absolute error of the reconstructions in 0..1, and the bound in nats, of one draw each."""
        assert isinstance(network, DRAW)
        x = as_input(self.held_out.images)
        noise = torch.randn(len(x), STEPS, LATENT, generator=torch.Generator().manual_seed(1))
        return {
            "mean_absolute_error": (network(x) - x).abs().mean().item(),
            "nats": network.bound(x, noise).mean().item(),
        }

    def baselines(self) -> dict[str, float]:
        """Of the mean digit, whatever the image: the error, and -log p of independent pixels."""
        x, mean = as_input(self.held_out.images), as_input(self.train.images).mean(dim=0)
        mean = mean.clamp(1e-3, 1 - 1e-3).expand_as(x)
        nats: Tensor = F.binary_cross_entropy(mean, x, reduction="none").flatten(1).sum(dim=1)
        return {
            "mean_absolute_error_mean_digit": (mean - x).abs().mean().item(),
            "nats_mean_digit": nats.mean().item(),
        }
