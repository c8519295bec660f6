"""Image classifiers: what they share, and those of a backbone, global average pooling and a linear layer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone
from regard.models.backbones.mobilenet_v2 import conv_bn_relu6


class Classifier(nn.Module, ABC):
    """A network of two parts: a feature map, and the layers that turn it into class scores. Explanations are
    made between the two.

    Shape: (B, 3, H, W) -> (B, num_classes).
    """

    @abstractmethod
    def feature_map(self, x: Tensor) -> Tensor:
        """The features that the head classifies: (B, 3, H, W) -> (B, C, h, w)."""

    @abstractmethod
    def head_layers(self) -> list[nn.Module]:
        """The layers from the feature map to the class scores, in order."""

    def classify(self, features: Tensor) -> Tensor:
        """The head alone: (B, C, h, w) -> (B, num_classes)."""
        for layer in self.head_layers():
            features = layer(features)
        return features

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.feature_map(x))


class BackboneClassifier(Classifier):
    """A classifier of a backbone's last map: (B, 3, H, W) -> (B, num_classes).

    Args:
        backbone: any.
        num_classes: K.
    """

    # torchvision's, and regard's while classifiers inherited from their backbone
    former_names: ClassVar[Mapping[str, str]] = {"backbone.": ""}

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        check_classes(num_classes)
        self.backbone = backbone

    def feature_map(self, x: Tensor) -> Tensor:
        return self.backbone.stages(x)[-1]


class GlobalAveragePool(nn.Module):
    """Mean over all positions: (B, C, H, W) -> (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class ImageClassifier(BackboneClassifier):
    """Class scores (logits) of an image batch, from the mean of the backbone's last map and a linear layer:
    (B, 3, H, W) -> (B, num_classes).

    Args:
        backbone: any.
        num_classes: K.
        dropout: fraction of the features dropped before the linear layer, in training.
    """

    def __init__(self, backbone: Backbone, *, num_classes: int = 1000, dropout: float = 0.0) -> None:
        super().__init__(backbone, num_classes)
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(backbone.channels[-1], num_classes)

    def describe(self, x: Tensor) -> Tensor:
        """What the linear layer reads, in evaluation: (B, 3, H, W) -> (B, C)."""
        return self.pool(self.feature_map(x))

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, self.dropout, self.fc]


class MobileNetV2Classifier(BackboneClassifier):
    """Class scores (logits) of an image batch, with a 1x1 convolution to 1280 channels before the pooling:
    (B, 3, H, W) -> (B, num_classes).

    Args:
        backbone: any; MobileNetV2 in the paper.
        num_classes: K.
    """

    former_names: ClassVar[Mapping[str, str]] = {"backbone.": "", "widen.": "features.18."}

    def __init__(self, backbone: Backbone, *, num_classes: int = 1000) -> None:
        super().__init__(backbone, num_classes)
        self.widen = conv_bn_relu6(backbone.channels[-1], 1280, 1)
        self.pool = GlobalAveragePool()
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, num_classes))

    def feature_map(self, x: Tensor) -> Tensor:
        return self.widen(super().feature_map(x))

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, *self.classifier]


def check_classes(num_classes: int) -> None:
    """Refuse a number of classes below one, with a ValueError."""
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
