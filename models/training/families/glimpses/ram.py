"""RAM on digits, beside itself with its six glimpses all at the centre, and at places drawn at random."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from regard.models.losses.criterion import cross_entropy
from regard.models.networks.ram import DEVIATION, RAM
from regard.models.training.families.digits import as_input
from regard.models.training.families.fit import fit
from regard.models.training.families.glimpses.training import ReadingDigits, top1

EPOCHS = 30
Noise = Callable[[int], Tensor | None]  # for so many images


class RAMOnDigits(ReadingDigits):
    """Six glimpses of 28 x 28 pixels: 8 x 8 of them sharp, 16 x 16 at half the resolution."""

    name = "ram_digits"
    builder = "ram"
    options: ClassVar[dict[str, Any]] = {"glimpses": 6, "glimpse_size": 8, "scales": 2}

    def teach(self, network: nn.Module) -> None:
        assert isinstance(network, RAM)
        criterion = cross_entropy()
        fit(
            network,
            lambda x, targets: network.training_loss(x, targets, criterion),
            self.batches,
            epochs=EPOCHS,
        )

    def baselines(self) -> dict[str, float]:
        """The same network whose policy is none: its mean stays at the centre, and noise alone moves it."""

        def anywhere(count: int) -> Tensor:
            places = 2 * torch.rand(count, self.options["glimpses"] - 1, 2, generator=self.random) - 1
            return places / DEVIATION

        return {
            "top1_centre_glimpses": self.without_policy(lambda count: None),
            "top1_random_glimpses": self.without_policy(anywhere),
        }

    def without_policy(self, noise: Noise) -> float:
        self.begin()
        network, criterion = self.build(), cross_entropy()
        assert isinstance(network, RAM)
        nn.init.zeros_(network.locator.weight)
        nn.init.zeros_(network.locator.bias)

        def scores(x: Tensor) -> Tensor:
            return network.classifier(network.look(x, noise(len(x))).states[:, -1])

        fit(network, lambda x, targets: criterion(scores(x), targets), self.batches, epochs=EPOCHS)
        with torch.inference_mode():
            return top1(scores(as_input(self.held_out.images)), self.held_out.targets)
