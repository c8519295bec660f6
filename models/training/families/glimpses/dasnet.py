"""dasNet on digits with clutter: a Maxout network is trained by gradients and frozen, its policy by SNES."""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from regard.contract.answers import Classes
from regard.models.losses.boosted import boosted_loss
from regard.models.losses.criterion import cross_entropy
from regard.models.networks.dasnet import DasNet
from regard.models.training.families.digits import CLASSES, SIDE, SOURCE, Digits, as_input
from regard.models.training.families.fit import Batch, fit, shuffled
from regard.models.training.families.glimpses.training import Training, top1
from regard.models.training.snes import SNES

BATCH = 64
FOR_POLICY = 2000  # digits that the Maxout network is not trained on
GENERATIONS = 50
PIECE = 9  # pixels


class DasNetOnClutter(Training):
    """Digits with three pieces of others over them; one look more."""

    name = "dasnet_clutter"
    builder = "dasnet"
    options: ClassVar[dict[str, Any]] = {
        "channels": 1,
        "image_size": SIDE,
        "passes": 1,
        "maps": [12, 24],
        "units": 64,
    }
    answer = Classes(labels=CLASSES)
    data = f"with pieces of others over them, {SOURCE}"

    def __init__(self, train: Digits, held_out: Digits, seed: int) -> None:
        super().__init__(train, held_out, seed)
        order = torch.randperm(len(train), generator=self.random)
        policy, maxout = order[:FOR_POLICY], order[FOR_POLICY:]
        self.train = Digits(train.images[maxout], train.targets[maxout])
        self.for_policy = Digits(train.images[policy], train.targets[policy])
        self.before = 0.0

    def batches(self) -> Iterator[Batch]:
        for chosen in shuffled(len(self.train), BATCH, self.random):
            yield cluttered(self.train, chosen, self.random), self.train.targets[chosen]

    def teach(self, network: nn.Module) -> None:
        assert isinstance(network, DasNet)
        criterion, open_gates = cross_entropy(), torch.ones(BATCH, sum(network.maxout.maps))
        fit(
            network.maxout,
            lambda x, targets: criterion(network.maxout(x, open_gates)[0], targets),
            self.batches,
            epochs=8,
        )
        with torch.inference_mode():
            self.before = self.measure(network)["top1"]  # every gain is 1
            self.evolve(network)

    def evolve(self, network: DasNet) -> None:
        """Find a policy; the Maxout network stays as it is."""
        policy = list(network.policy.parameters())
        snes = SNES(parameters_to_vector(policy), 0.1, self.random)
        for _ in track(range(GENERATIONS), description="SNES"):
            chosen = torch.randperm(len(self.for_policy), generator=self.random)[:128]
            x, targets = cluttered(self.for_policy, chosen, self.random), self.for_policy.targets[chosen]
            costs = []
            for candidate in snes.ask():
                vector_to_parameters(candidate, policy)
                costs.append(boosted_loss(network(x), targets))
            snes.tell(torch.stack(costs))
        vector_to_parameters(snes.mean, policy)

    def measure(self, network: nn.Module) -> dict[str, float]:
        random, everything = torch.Generator().manual_seed(1), torch.arange(len(self.held_out))
        x = cluttered(self.held_out, everything, random)
        scores = torch.cat([network(part) for part in x.split(250)])
        return {"top1": top1(scores, self.held_out.targets)}

    def baselines(self) -> dict[str, float]:
        return {"top1_without_gains": self.before}


def cluttered(digits: Digits, chosen: Tensor, random: torch.Generator) -> Tensor:
    """The chosen digits, each under three squares cut out of others at random: (B,) -> (B, 1, 28, 28) in
    0..1.
    """
    images = digits.images[chosen].clone()
    pieces = digits.images.unfold(1, PIECE, 1).unfold(2, PIECE, 1)  # (N, 20, 20, 9, 9)
    for _ in range(3):
        others = torch.randint(len(digits), (len(chosen),), generator=random)
        corners = torch.randint(SIDE - PIECE + 1, (4, len(chosen)), generator=random)
        cut = pieces[others, corners[0], corners[1]]
        for image, piece, row, column in zip(images, cut, corners[2], corners[3], strict=True):
            window = image[row : row + PIECE, column : column + PIECE]
            torch.maximum(window, piece, out=window)
    return as_input(images)
