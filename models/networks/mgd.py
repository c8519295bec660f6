"""MGD: a network for each granularity of the labels finds the region that matters to it, and describes it.

Wang et al., "Multiple Granularity Descriptors for Fine-Grained Categorization", ICCV 2015.
https://doi.org/10.1109/ICCV.2015.276

For each level of the label tree (species, genus, family):
    detection      a network trained on the level's labels; its energy E = sum_c X_c of the last convolution
                   shows where it looks
    discovery      the candidate box with the most energy
    description    a second network trained on the level's labels, on that box
The descriptors of all levels, side by side, are classified linearly.

Departures and readings:
- That free labels of the tree train one network each, whose regions of interest differ and whose descriptors
  are joined, is the paper's abstract; the two networks for each level and the selection by convolutional
  energy are from summaries, the selection's formula is ours: a box's score is the sum of E over it less the
  image's mean E for its area, so that neither size nor smallness wins by itself.
- Candidates are a fixed grid over several scales; the paper takes selective search, which is outside any
  graph. `boxes` replaces them.
- The paper's last classifier is a linear SVM on the descriptors; here it is a linear layer that does not
  train them.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.backbones.by_name import build_backbone, check_side
from regard.models.classifiers import ImageClassifier, check_classes
from regard.models.losses.criterion import Criterion
from regard.models.parts.crop import crop
from regard.models.parts.proposals import Box, box_sums, check_boxes, grid_boxes, pixels

BOXES = grid_boxes([(1.0, 1), (0.75, 3), (0.5, 5), (0.35, 6)])


class RegionDiscovery(nn.Module):
    """The candidate with the most energy above the image's mean: features (B, C, h, w) -> boxes (B, 4) in
    fractions.

    Args:
        boxes: the candidates.
    """

    def __init__(self, boxes: Sequence[Box]) -> None:
        super().__init__()
        self.boxes = tuple(boxes)

    def weights(self, features: Tensor) -> Tensor:
        """Energy at each position: (B, C, h, w) -> (B, 1, h, w)."""
        return features.sum(dim=1, keepdim=True)

    def forward(self, features: Tensor) -> Tensor:
        energy = self.weights(features)[:, 0]
        boxes = torch.tensor(self.boxes, dtype=energy.dtype, device=energy.device)  # (R, 4)
        scores = box_sums(energy - energy.mean(dim=(1, 2), keepdim=True), boxes)  # (B, R)
        return boxes[scores.argmax(dim=1)]


class Granularity(nn.Module):
    """Detection, discovery and description at one level: (B, 3, H, W) -> descriptor (B, C).

    Args:
        labels: number of labels at this level.
        backbone, width: see `build_backbone`.
        boxes: the candidates.
        region_size: side that the discovered region is resized to.
    """

    def __init__(
        self, labels: int, *, backbone: str, width: int, boxes: Sequence[Box], region_size: int
    ) -> None:
        super().__init__()
        self.region_size = region_size
        self.detection = ImageClassifier(build_backbone(backbone, width), num_classes=labels)
        check_side(self.detection.backbone, region_size=region_size)
        self.discovery = RegionDiscovery(boxes)
        self.description = ImageClassifier(build_backbone(backbone, width), num_classes=labels)

    def region(self, x: Tensor, features: Tensor) -> Tensor:
        """The discovered region of the image, from the detection network's features:
        (B, 3, region_size, region_size).
        """
        boxes = pixels(self.discovery(features), x)
        return crop(x, boxes.unsqueeze(1), (self.region_size, self.region_size))[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        return self.description.describe(self.region(x, self.detection.backbone.stages(x)[-1]))

    def losses(self, x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy of both networks with this level's labels (B,), and the descriptor."""
        features = self.detection.backbone.stages(x)[-1]
        descriptor = self.description.describe(self.region(x, features.detach()))
        logits = (self.detection.fc(features.mean(dim=(2, 3))), self.description.fc(descriptor))
        return torch.stack([F.cross_entropy(each.float(), targets) for each in logits]).sum(), descriptor


class MGD(nn.Module):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    Args:
        num_classes: K.
        taxonomy: for each coarser level, from fine to coarse, the label of each of the K classes, numbered
            from 0. By default four neighbouring classes make a genus and four neighbouring genera a family.
        backbone: a name of `BACKBONES`, for two networks at each level.
        width: channels of the backbones' first stage.
        region_size: side that a discovered region is resized to.
        boxes: candidates as left, top, right, bottom in fractions of the image.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        taxonomy: Sequence[Sequence[int]] | None = None,
        backbone: str = "vgg16",
        width: int = 64,
        region_size: int = 224,
        boxes: Sequence[Sequence[float]] = BOXES,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        species = range(num_classes)
        coarser = (
            [[each // 4 for each in species], [each // 16 for each in species]]
            if taxonomy is None
            else taxonomy
        )
        self.levels = check_taxonomy([species, *coarser])
        checked = check_boxes(boxes)
        granularities = [
            Granularity(
                max(level) + 1, backbone=backbone, width=width, boxes=checked, region_size=region_size
            )
            for level in self.levels
        ]
        self.granularities = nn.ModuleList(granularities)
        self.classifier = nn.Linear(
            sum(each.description.fc.in_features for each in granularities), num_classes
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.cat([granularity(x) for granularity in self.granularities], dim=1))

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """Both networks of each level by that level's labels, and the criterion of the answer."""
        losses, descriptors = [], []
        for granularity, level in zip(
            cast("Iterable[Granularity]", self.granularities), self.levels, strict=True
        ):
            loss, descriptor = granularity.losses(x, torch.tensor(level, device=targets.device)[targets])
            losses.append(loss)
            descriptors.append(descriptor.detach())
        return torch.stack(
            [*losses, criterion(self.classifier(torch.cat(descriptors, dim=1)), targets)]
        ).sum()


def check_taxonomy(levels: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """The levels as tuples, or a ValueError: classes that share a label at one level must share it at every
    coarser one.
    """
    for finer, coarser in pairwise(levels):
        if len(coarser) != len(finer):
            raise ValueError(
                f"each level of taxonomy must label all {len(finer)} classes, got {len(coarser)} labels"
            )
        if min(coarser) < 0:
            raise ValueError(f"labels of taxonomy must be numbered from 0, got {min(coarser)}")
        parent: dict[int, int] = {}
        for index, (child, label) in enumerate(zip(finer, coarser, strict=True)):
            if parent.setdefault(child, label) != label:
                raise ValueError(
                    f"taxonomy must be a tree: class {index} shares label {child} with others but is put "
                    f"under {label}"
                )
    return tuple(tuple(level) for level in levels)
