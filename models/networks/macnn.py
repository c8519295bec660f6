"""MA-CNN: channels that answer to the same part of an object are grouped into an attention map of that part.

Zheng, Fu, Mei & Luo, "Learning Multi-Attention Convolutional Neural Network for Fine-Grained Image
Recognition", ICCV 2017.
https://openaccess.thecvf.com/content_iccv_2017/html/Zheng_Learning_Multi-Attention_Convolutional_ICCV_2017_paper.html

    d_i = sigmoid(W2 tanh(W1 mean_xy X))          which channels belong to part i, for each of N = 4 parts
    M_i = sigmoid(sum_j d_ij X_j), scaled to sum 1
    P_i = sum_xy X(x, y) M_i(x, y)
    L   = sum_i CE(P_i) + sum_i Dis(M_i) + 2 Div(M_i)

X is conv5_4 of VGG-19 at 448 pixels. 96 x 96 pixels around each map's peak, enlarged to 224, go through a
network of that part's own, and the descriptors of the whole image and of the parts are fused by a linear
layer.

Departures and readings:
- The paper alternates between training the grouping and training the rest. Here both happen in one pass: the
  grouping losses train W1 and W2 and nothing else, and classification takes the maps as they are.
- The constants N, 96, lambda = 2 and margin = 0.02, that the maps sum to 1, and the enlargement to 224 are
  from memory of the paper; public ports confirm the layers, the losses' form and that the branches share no
  parameters.
- The answer fuses the attended features P_i too, so that it rests on the maps and not on their peaks alone.
- A peak is sought in the sigmoid's argument: the sigmoid reaches 1 in float32 and would tie.
- The paper fits W1 and W2 to the clusters of the channels' peak positions over the training images.
  `ChannelGrouping.fit` clusters, and sets the biases of W2 to answer with the clusters; training calls it
  before its first epoch, with some of the images.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone
from regard.models.backbones.by_name import build_backbone, check_side
from regard.models.classifiers import check_classes
from regard.models.losses.criterion import Criterion
from regard.models.losses.grouping import grouping_loss
from regard.models.parts.clustering import kmeans
from regard.models.parts.crop import crop, peaks, squares

AT_ONCE = 8  # images whose features are computed together, to fit the grouping


class ChannelGrouping(nn.Module):
    """An attention map for each part: (B, C, h, w) -> (B, N, h, w).

    Args:
        channels: C.
        parts: N.
    """

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.groups = nn.ModuleList(
            nn.Sequential(
                nn.Linear(channels, channels), nn.Tanh(), nn.Linear(channels, channels), nn.Sigmoid()
            )
            for _ in range(parts)
        )

    def scores(self, x: Tensor) -> Tensor:
        """The argument of the maps' sigmoid: (B, C, h, w) -> (B, N, h, w)."""
        pooled = x.mean(dim=(2, 3))
        membership = torch.stack([group(pooled) for group in self.groups], dim=1)  # (B, N, C)
        return torch.matmul(membership, x.flatten(2)).unflatten(2, x.shape[2:])

    def weights(self, scores: Tensor) -> Tensor:
        """The maps M, each summing to 1: scores (B, N, h, w) -> (B, N, h, w)."""
        maps = scores.sigmoid()
        return maps / maps.sum(dim=(2, 3), keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.weights(self.scores(x))

    @torch.no_grad()
    def fit(self, features: Tensor, *, seed: int = 0) -> Tensor:
        """Cluster the channels by where they peak in many images, and start from these clusters: (n, C, h, w)
        -> clusters (C,).
        """
        positions = peaks(features).permute(1, 0, 2).flatten(1)  # (C, 2 n)
        clusters = kmeans(positions, len(self.groups), seed=seed).to(features.device)
        for part, group in enumerate(self.groups):
            last = group.get_submodule("2")
            if isinstance(last, nn.Linear):
                nn.init.zeros_(last.weight)
                last.bias.copy_((clusters == part) * 6.0 - 3.0)  # sigmoid(3) = 0.95
        return clusters


def attended(x: Tensor, maps: Tensor) -> Tensor:
    """P: the features' sum under each map: (B, C, h, w), (B, N, h, w) -> (B, N, C)."""
    return torch.matmul(maps.flatten(2), x.flatten(2).transpose(1, 2))


class MACNN(nn.Module):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes), for H and W of at least
    `part_size`.

    Args:
        num_classes: K.
        backbone: a name of `BACKBONES`, for the whole image and for each part.
        width: channels of the backbones' first stage.
        parts: N, at least 2.
        part_size: side of the square around a peak, in pixels.
        part_resolution: side that it is enlarged to.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        backbone: str = "vgg19",
        width: int = 64,
        parts: int = 4,
        part_size: int = 96,
        part_resolution: int = 224,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if parts < 2:
            raise ValueError(f"parts must be at least 2, got {parts}")
        if part_size < 1:
            raise ValueError(f"part_size must be at least 1, got {part_size}")
        self.part_size, self.part_resolution = part_size, part_resolution
        self.backbone = build_backbone(backbone, width)
        check_side(self.backbone, part_resolution=part_resolution)
        channels = self.backbone.channels[-1]
        self.grouping = ChannelGrouping(channels, parts)
        self.part_classifiers = nn.ModuleList(nn.Linear(channels, num_classes) for _ in range(parts))
        self.part_networks = nn.ModuleList(build_backbone(backbone, width) for _ in range(parts))
        self.fusion = nn.Linear((1 + 2 * parts) * channels, num_classes)

    def part_crops(self, x: Tensor, scores: Tensor) -> Tensor:
        """The enlarged squares around the peaks: (B, 3, H, W), (B, N, h, w) ->
        (B, N, 3, part_resolution, part_resolution).
        """
        height, width = x.shape[2:]
        if min(height, width) < self.part_size:
            raise ValueError(
                f"images must be at least part_size = {self.part_size} on each side, got {height} x {width}"
            )
        scale = torch.tensor(
            [width / scores.shape[3], height / scores.shape[2]], dtype=x.dtype, device=x.device
        )
        boxes = squares((peaks(scores) + 0.5) * scale, self.part_size, width=width, height=height)
        return crop(x, boxes, (self.part_resolution, self.part_resolution))

    def answer(self, x: Tensor, features: Tensor, scores: Tensor, parts: Tensor) -> Tensor:
        """Fused class scores from the image, its features, the maps' scores and the attended features
        (B, N, C).
        """
        crops = self.part_crops(x, scores).unbind(dim=1)
        networks = cast("Iterable[Backbone]", self.part_networks)
        near = [
            network.stages(part)[-1].mean(dim=(2, 3)) for network, part in zip(networks, crops, strict=True)
        ]
        return self.fusion(torch.cat([features.mean(dim=(2, 3)), parts.flatten(1), *near], dim=1))

    def forward(self, x: Tensor) -> Tensor:
        features = self.backbone.stages(x)[-1]
        scores = self.grouping.scores(features)
        return self.answer(x, features, scores, attended(features, self.grouping.weights(scores)))

    def before_epoch(self, epoch: int, epochs: int, images: Tensor) -> None:
        """Start the first epoch from clusters of the channels' peaks in these images (n, 3, H, W)."""
        if epoch == 0:
            features = [self.backbone.stages(some)[-1] for some in images.split(AT_ONCE)]
            self.grouping.fit(torch.cat(features))

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """Classification by each part and fused, and the grouping losses."""
        features = self.backbone.stages(x)[-1]
        scores = self.grouping.scores(features.detach())
        maps = self.grouping.weights(scores)
        parts = attended(features, maps.detach())
        logits = [
            classify(part) for classify, part in zip(self.part_classifiers, parts.unbind(dim=1), strict=True)
        ]
        logits.append(self.answer(x, features, scores.detach(), parts))
        return torch.stack([criterion(each, targets) for each in logits]).sum() + grouping_loss(maps)
