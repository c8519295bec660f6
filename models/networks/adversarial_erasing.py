"""Adversarial erasing: what the first classifier has found is hidden, so that the next must find the rest of
the object.

ACoL: Zhang, Wei, Feng, Yang & Huang, "Adversarial Complementary Learning for Weakly Supervised Object
Localization", CVPR 2018.
https://arxiv.org/abs/1804.06962. Both classifiers look at one feature map S in one pass:

    M_A = A(S), y_A = mean_xy M_A                                      maps of every class, from 3x3, 3x3 and
                                                                       1x1 convolutions
    S' = S where norm(M_A^c) < 0.6, else 0                             c the true class; norm scales to 0..1
    M_B = B(S'), y_B = mean_xy M_B
    L = L_cl(y_A) + L_cl(y_B),   map of c = max(norm(M_A^c), norm(M_B^c))

The layers, the threshold's place (>= erases) and that no gradient goes through the erasing were checked in
the authors' code; they take the answer from y_A.

AE-PSL: Wei et al., "Object Region Mining with Adversarial Erasing: A Simple Classification to Semantic
Segmentation Approach", CVPR 2017. https://arxiv.org/abs/1703.08448. A cascade of networks, each trained on
images from which the regions of those before it are erased (by the training images' mean, which is 0 after
normalization); `mine` is the cascade's use. A region is where the class activation map reaches the upper
fifth of its range (the fraction is from memory).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from regard.models.backbones.resnet import ResNet
from regard.models.classifiers import Classifier, GlobalAveragePool, check_classes
from regard.models.explain.cam import at_size_of, class_activation_map
from regard.models.losses.criterion import Criterion


class ACoL(ResNet, Classifier):
    """Class scores (logits) of an image batch, those of the first classifier: (B, 3, H, W) ->
    (B, num_classes).

    Args:
        depth: of the ResNet.
        num_classes: K.
        inner: channels of the classifiers' 3x3 convolutions; the paper uses 1024.
        threshold: of the first classifier's map, in 0..1, from which on features are erased.
        options: see `ResNet`.
    """

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int = 1000,
        inner: int = 1024,
        threshold: float = 0.6,
        **options: Any,
    ) -> None:
        super().__init__(depth, **options)
        check_classes(num_classes)
        if inner < 1:
            raise ValueError(f"inner must be at least 1, got {inner}")
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must lie between 0 and 1, got {threshold}")
        self.threshold = threshold
        self.first = _classifier(self.channels[-1], inner, num_classes)
        self.second = _classifier(self.channels[-1], inner, num_classes)
        self.pool = GlobalAveragePool()

    def feature_map(self, x: Tensor) -> Tensor:
        return self.stages(x)[-1]

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
        hidden = normalized(of_class(first.detach(), classes)) >= self.threshold  # (B, 1, h, w)
        return first, self.second(features.masked_fill(hidden, 0))

    def localization(self, x: Tensor, classes: Tensor) -> Tensor:
        """The fused map of the classes (B,) at the images' size, in 0..1: (B, H, W)."""
        first, second = (normalized(of_class(maps, classes)) for maps in self.maps(x, classes))
        return at_size_of(x, torch.maximum(first, second))


def of_class(maps: Tensor, classes: Tensor) -> Tensor:
    """The map of one class for each image: (B, K, h, w), (B,) -> (B, 1, h, w)."""
    return maps[torch.arange(len(maps), device=maps.device), classes][:, None]


def normalized(maps: Tensor) -> Tensor:
    """Each map of (B, 1, h, w) shifted and scaled to 0..1; one that is the same everywhere becomes 0."""
    low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)


def mine(classifiers: Sequence[Classifier], x: Tensor, classes: Tensor, fraction: float = 0.2) -> Tensor:
    """The regions that a cascade has found after each step: bool (steps, B, H, W), each step's holding those
    before it.

    Args:
        classifiers: in evaluation mode, with a class activation map; each sees the images without what those
            before it found.
        x: images (B, 3, H, W), normalized.
        classes: of the objects looked for, (B,).
        fraction: of the map's range, counted from its largest value, that makes a region.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}")
    found = torch.zeros_like(x[:, 0], dtype=torch.bool)
    steps = []
    for classifier in classifiers:
        _, activation = class_activation_map(classifier, x.masked_fill(found[:, None], 0), classes)
        found = found | (normalized(activation[:, None])[:, 0] >= 1 - fraction)
        steps.append(found)
    return torch.stack(steps)


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
