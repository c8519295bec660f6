"""Image classifiers: what they share, and those of a backbone, global average pooling and a linear layer."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from regard.models.backbones.mobilenet_v2 import MobileNetV2, conv_bn_relu6
from regard.models.backbones.resnet import ResNet


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


class GlobalAveragePool(nn.Module):
    """Mean over all positions: (B, C, H, W) -> (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class ResNetClassifier(ResNet, Classifier):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    Args:
        depth: of the ResNet.
        num_classes: K.
        options: see `ResNet`.
    """

    def __init__(self, depth: int, *, num_classes: int = 1000, **options: Any) -> None:
        super().__init__(depth, **options)
        check_classes(num_classes)
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(self.channels[-1], num_classes)

    def feature_map(self, x: Tensor) -> Tensor:
        return self.stages(x)[-1]

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, self.fc]


class MobileNetV2Classifier(MobileNetV2, Classifier):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    Args:
        num_classes: K.
        options: see `MobileNetV2`.
    """

    def __init__(self, *, num_classes: int = 1000, **options: Any) -> None:
        super().__init__(**options)
        check_classes(num_classes)
        self.features.append(conv_bn_relu6(self.channels[-1], 1280, 1))
        self.pool = GlobalAveragePool()
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, num_classes))

    def feature_map(self, x: Tensor) -> Tensor:
        return self.features[-1](self.stages(x)[-1])

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, *self.classifier]


def check_classes(num_classes: int) -> None:
    """Refuse a number of classes below one, with a ValueError."""
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
