"""ACoL: what a first classifier has found is hidden from a second, which must find the rest of the object.

Zhang, Wei, Feng, Yang & Huang, "Adversarial Complementary Learning for Weakly Supervised Object
Localization", CVPR 2018.
https://arxiv.org/abs/1804.06962. Both classifiers look at one feature map S in one pass:

    M_A = A(S), y_A = mean_xy M_A             maps of every class, from 3x3, 3x3 and 1x1 convolutions
    S' = S where norm(M_A^c) < 0.6, else 0    c the true class; norm scales to 0..1
    M_B = B(S'), y_B = mean_xy M_B
    L = L_cl(y_A) + L_cl(y_B),   map of c = max(norm(M_A^c), norm(M_B^c))

The layers, the threshold's place (>= erases) and that no gradient goes through the erasing were checked in
the authors' code; they take the answer from y_A.
"""

import torch
from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone
from regard.models.classifiers import BackboneClassifier, GlobalAveragePool
from regard.models.explain.cam import at_size_of, min_max_scaled
from regard.models.losses.criterion import Criterion


class ACoL(BackboneClassifier):
    """Class scores (logits) of an image batch, those of the first classifier: (B, 3, H, W) ->
    (B, num_classes).

    Args:
        backbone: any; VGG-16 and GoogLeNet in the paper.
        num_classes: K.
        inner: channels of the classifiers' 3x3 convolutions; the paper uses 1024.
        threshold: of the first classifier's map, in 0..1, from which on features are erased.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_classes: int = 1000,
        inner: int = 1024,
        threshold: float = 0.6,
    ) -> None:
        super().__init__(backbone, num_classes)
        if inner < 1:
            raise ValueError(f"inner must be at least 1, got {inner}")
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must lie between 0 and 1, got {threshold}")
        self.threshold = threshold
        self.first = _classifier(backbone.channels[-1], inner, num_classes)
        self.second = _classifier(backbone.channels[-1], inner, num_classes)
        self.pool = GlobalAveragePool()

    def head_layers(self) -> list[nn.Module]:
        return [*self.first, self.pool]

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """The sum of both classifiers' losses."""
        first, second = self.maps(x, targets)
        return criterion(self.pool(first), targets) + criterion(self.pool(second), targets)

    def maps(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """M_A, and M_B after erasing for the classes (B,): two of (B, K, h, w)."""
        features = self.feature_map(x)
        first = self.first(features)
        hidden = min_max_scaled(of_class(first.detach(), classes)) >= self.threshold  # (B, 1, h, w)
        return first, self.second(features.masked_fill(hidden, 0))

    def localization(self, x: Tensor, classes: Tensor) -> Tensor:
        """The fused map of the classes (B,) at the images' size, in 0..1: (B, H, W)."""
        first, second = (min_max_scaled(of_class(maps, classes)) for maps in self.maps(x, classes))
        return at_size_of(x, torch.maximum(first, second))


def of_class(maps: Tensor, classes: Tensor) -> Tensor:
    """The map of one class for each image: (B, K, h, w), (B,) -> (B, 1, h, w)."""
    return maps[torch.arange(len(maps), device=maps.device), classes][:, None]


def _classifier(channels: int, inner: int, num_classes: int) -> nn.Sequential:
    """Maps of every class: (B, C, h, w) -> (B, K, h, w)."""
    return nn.Sequential(
        nn.Dropout(0.5),
        nn.Conv2d(channels, inner, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Conv2d(inner, inner, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(inner, num_classes, 1),
    )
