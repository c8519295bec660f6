"""Image classifiers: a backbone, global average pooling and a linear layer, with torchvision's state-dict names."""

from typing import Any

from torch import Tensor, nn

from regard.models.backbones.mobilenet_v2 import MobileNetV2, conv_bn_relu6
from regard.models.backbones.resnet import ResNet


class ResNetClassifier(ResNet):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    Args:
        depth: of the ResNet.
        num_classes: K.
        options: see `ResNet`.
    """

    def __init__(self, depth: int, *, num_classes: int = 1000, **options: Any) -> None:
        super().__init__(depth, **options)
        _check(num_classes)
        self.fc = nn.Linear(self.channels[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.stages(x)[-1].mean(dim=(2, 3)))


class MobileNetV2Classifier(MobileNetV2):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    Args:
        num_classes: K.
        options: see `MobileNetV2`.
    """

    def __init__(self, *, num_classes: int = 1000, **options: Any) -> None:
        super().__init__(**options)
        _check(num_classes)
        self.features.append(conv_bn_relu6(self.channels[-1], 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features[-1](self.stages(x)[-1]).mean(dim=(2, 3)))


def _check(num_classes: int) -> None:
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
