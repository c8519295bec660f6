"""Semantic segmenters: a dilated backbone, a head, an optional decoder and a classifier per pixel."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.backbones.mobilenet_v2 import MobileNetV2
from regard.models.backbones.resnet import ResNet
from regard.models.classifiers import check_classes
from regard.models.heads.ccnet import CCNetHead
from regard.models.heads.danet import DANetHead
from regard.models.heads.decoder import Decoder
from regard.models.heads.fcn import FCNHead
from regard.models.losses.criterion import Criterion

AUXILIARY_WEIGHT = 0.4  # of the loss on res4: Zhao et al., PSPNet, CVPR 2017, section 3.3; CCNet keeps it


class Segmenter(nn.Module):
    """Class scores (logits) of every pixel: (B, 3, H, W) -> (B, num_classes, H, W).

    Args:
        backbone: its last stage feeds the head, its third the auxiliary loss, its first the decoder.
        head: from the last stage's features to (B, inner, h, w).
        inner: channels of the head's result.
        num_classes: K.
        decoder: fuse the head's features with the first stage's before classifying.
        dropout: fraction of the channels dropped before classifying, in training.
    """

    def __init__(
        self,
        backbone: ResNet | MobileNetV2,
        head: nn.Module,
        *,
        inner: int,
        num_classes: int,
        decoder: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        self.backbone = backbone
        self.head = head
        self.decoder = Decoder(inner, backbone.channels[0]) if decoder else None
        self.classifier = _classifier(inner, num_classes, dropout)
        self.auxiliary = nn.Sequential(FCNHead(backbone.channels[2], inner), _classifier(inner, num_classes, dropout))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.backbone.stages(x)
        return _resize(self.classify(self.head(maps[-1]), maps), x)

    def classify(self, features: Tensor, maps: list[Tensor]) -> Tensor:
        """Class scores of the head's features, at the first stage's size with a decoder, else at the features'."""
        if self.decoder is not None:
            features = self.decoder(features, maps[0])
        return self.classifier(features)

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """Weighted sum of the supervised outputs' losses."""
        return torch.stack([weight * criterion(logits, targets) for weight, logits in self.training_logits(x)]).sum()

    def training_logits(self, x: Tensor) -> list[tuple[float, Tensor]]:
        """The supervised outputs at the input's size, each with the weight of its loss; the first is `forward`'s."""
        maps = self.backbone.stages(x)
        scores = [(1.0, self.classify(self.head(maps[-1]), maps)), (AUXILIARY_WEIGHT, self.auxiliary(maps[2]))]
        return [(weight, _resize(score, x)) for weight, score in scores]


class DANet(Segmenter):
    """A segmenter whose two attention branches are supervised, each through a classifier of its own, with weight 1.

    Fu et al., CVPR 2019; the weights are those of the authors' code. Arguments as of `Segmenter`, with a DANet head.
    """

    head: DANetHead

    def __init__(
        self, backbone: ResNet | MobileNetV2, *, inner: int, num_classes: int, decoder: bool = False, dropout: float = 0.1
    ) -> None:
        head = DANetHead(backbone.channels[-1], inner)
        super().__init__(backbone, head, inner=inner, num_classes=num_classes, decoder=decoder, dropout=dropout)
        self.position_classifier = _classifier(inner, num_classes, dropout)
        self.channel_classifier = _classifier(inner, num_classes, dropout)

    def training_logits(self, x: Tensor) -> list[tuple[float, Tensor]]:
        maps = self.backbone.stages(x)
        position, channel = self.head.branches(maps[-1])
        scores = [
            (1.0, self.classify(position + channel, maps)),
            (1.0, self.position_classifier(position)),
            (1.0, self.channel_classifier(channel)),
            (AUXILIARY_WEIGHT, self.auxiliary(maps[2])),
        ]
        return [(weight, _resize(score, x)) for weight, score in scores]


def fcn(backbone: ResNet | MobileNetV2, *, num_classes: int, inner: int | None = None, decoder: bool = False) -> Segmenter:
    """A segmenter with the plain convolutional head; `inner` defaults to a quarter of the backbone's channels."""
    inner = _inner(backbone, inner)
    return Segmenter(backbone, FCNHead(backbone.channels[-1], inner), inner=inner, num_classes=num_classes, decoder=decoder)


def ccnet(
    backbone: ResNet | MobileNetV2, *, num_classes: int, inner: int | None = None, recurrence: int = 2, decoder: bool = False
) -> Segmenter:
    """A segmenter with CCNet's head; `inner` defaults to a quarter of the backbone's channels."""
    inner = _inner(backbone, inner)
    head = CCNetHead(backbone.channels[-1], inner, recurrence)
    return Segmenter(backbone, head, inner=inner, num_classes=num_classes, decoder=decoder)


def danet(backbone: ResNet | MobileNetV2, *, num_classes: int, inner: int | None = None, decoder: bool = False) -> DANet:
    """A segmenter with DANet's head; `inner` defaults to a quarter of the backbone's channels."""
    inner = _inner(backbone, inner)
    return DANet(backbone, inner=inner, num_classes=num_classes, decoder=decoder)


def _inner(backbone: ResNet | MobileNetV2, inner: int | None) -> int:
    if inner is not None and inner < 1:
        raise ValueError(f"inner must be at least 1, got {inner}")
    return backbone.channels[-1] // 4 if inner is None else inner


def _classifier(channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels, num_classes, 1))


def _resize(scores: Tensor, image: Tensor) -> Tensor:
    return F.interpolate(scores, size=image.shape[2:], mode="bilinear", align_corners=False)
