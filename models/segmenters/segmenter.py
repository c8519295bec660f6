"""A segmenter: a dilated backbone, a head, an optional decoder and a classifier per pixel."""

import torch
from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone
from regard.models.classifiers import check_classes
from regard.models.heads.decoder import Decoder
from regard.models.heads.fcn import FCNHead
from regard.models.heads.layers import resize
from regard.models.losses.criterion import Criterion

# of the loss on the last stage but one: Zhao et al., PSPNet, CVPR 2017, section 3.3; CCNet and OCNet keep it
AUXILIARY_WEIGHT = 0.4


class Segmenter(nn.Module):
    """Class scores (logits) of every pixel: (B, 3, H, W) -> (B, num_classes, H, W).

    Args:
        backbone: its last stage feeds the head, the one before the auxiliary loss, its first the decoder.
        head: from the last stage's features to (B, inner, h, w).
        inner: channels of the head's result.
        num_classes: K.
        decoder: fuse the head's features with the first stage's before classifying.
        dropout: fraction of the channels dropped before classifying, in training.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        *,
        inner: int,
        num_classes: int,
        decoder: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        self.inner, self.num_classes = inner, num_classes
        self.backbone = backbone
        self.head = head
        self.decoder = Decoder(inner, backbone.channels[0]) if decoder else None
        self.classifier = pixel_classifier(inner, num_classes, dropout)
        self.auxiliary = nn.Sequential(
            FCNHead(backbone.channels[-2], inner), pixel_classifier(inner, num_classes, dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.classifier(self.features(x)), x)

    @property
    def stride(self) -> int:
        """Of the features that the classifier reads, in pixels of the image."""
        return self.backbone.strides[-1 if self.decoder is None else 0]

    def features(self, x: Tensor) -> Tensor:
        """What the classifier reads: (B, inner, h, w), at the first stage's size with a decoder, else at the
        last one's.
        """
        maps = self.backbone.stages(x)
        return self.refine(self.head(maps[-1]), maps)

    def refine(self, features: Tensor, maps: list[Tensor]) -> Tensor:
        """The head's features, fused with the first stage's where there is a decoder."""
        return features if self.decoder is None else self.decoder(features, maps[0])

    def classify(self, features: Tensor, maps: list[Tensor]) -> Tensor:
        """Class scores of the head's features, refined."""
        return self.classifier(self.refine(features, maps))

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """Weighted sum of the supervised outputs' losses."""
        return weighted(self.training_logits(x), targets, criterion)

    def training_logits(self, x: Tensor) -> list[tuple[float, Tensor]]:
        """The supervised outputs at the input's size, each with the weight of its loss; the first is
        `forward`'s.
        """
        maps = self.backbone.stages(x)
        return self.supervised(self.head(maps[-1]), maps, x)

    def supervised(self, features: Tensor, maps: list[Tensor], x: Tensor) -> list[tuple[float, Tensor]]:
        """`training_logits` from the head's features and the backbone's."""
        scores = [(1.0, self.classify(features, maps)), (AUXILIARY_WEIGHT, self.auxiliary(maps[-2]))]
        return [(weight, resize(score, x)) for weight, score in scores]


def weighted(supervised: list[tuple[float, Tensor]], targets: Tensor, criterion: Criterion) -> Tensor:
    """Weighted sum of the losses of supervised outputs."""
    return torch.stack([weight * criterion(logits, targets) for weight, logits in supervised]).sum()


def pixel_classifier(channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Class scores of each position's features, whole channels of which are dropped in training."""
    return nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels, num_classes, 1))
