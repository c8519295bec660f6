"""Multiple-instance classifiers: an image is a bag of positions, and has a class where some position does.

The three ways of pooling, their papers and equations are in `regard.models.heads.mil_pooling`. For max
pooling and noisy-or each position has its own class scores; for gated attention the positions' features are
averaged first, with learned weights.
"""

import math
from collections.abc import Callable

from torch import nn

from regard.models.backbones.backbone import Backbone
from regard.models.classifiers import BackboneClassifier
from regard.models.heads.mil_pooling import GatedAttention, GlobalMaxPool, NoisyOr

# an instance's probability at the start: with 49 positions (7 x 7) noisy-or then begins near an even chance
RARE = 0.02


def max_head(channels: int, num_classes: int) -> nn.Sequential:
    """Scores of each position, of which the largest counts."""
    return nn.Sequential(nn.Conv2d(channels, num_classes, 1), GlobalMaxPool())


def noisy_or_head(channels: int, num_classes: int) -> nn.Sequential:
    """Scores of each position as independent causes: log-odds."""
    scores = nn.Conv2d(channels, num_classes, 1)
    nn.init.normal_(scores.weight, std=0.01)
    nn.init.constant_(scores.bias, math.log(RARE / (1 - RARE)))  # type: ignore[arg-type]  # there is a bias
    return nn.Sequential(scores, NoisyOr())


def attention_head(channels: int, num_classes: int) -> nn.Sequential:
    """Features averaged with gated attention, then classified."""
    return nn.Sequential(GatedAttention(channels), nn.Linear(channels, num_classes))


POOLINGS: dict[str, Callable[[int, int], nn.Sequential]] = {
    "max": max_head,
    "noisy_or": noisy_or_head,
    "attention": attention_head,
}


class MIL(BackboneClassifier):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    With "max" and "noisy_or" the scores are log-odds that the class is in the image, each class for itself;
    their softmax is the probability of each class given that one is (see `NoisyOr`).

    Args:
        pooling: a name of POOLINGS.
        backbone: any.
        num_classes: K.
    """

    def __init__(self, pooling: str, backbone: Backbone, *, num_classes: int = 1000) -> None:
        super().__init__(backbone, num_classes)
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {sorted(POOLINGS)}, got {pooling!r}")
        self.head = POOLINGS[pooling](backbone.channels[-1], num_classes)

    def head_layers(self) -> list[nn.Module]:
        return [*self.head]
