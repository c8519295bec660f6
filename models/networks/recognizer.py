"""What the fine-grained networks are made of: a backbone that is pooled and classified, and the mean answer
of several.
"""

import math

from torch import Tensor, nn

from regard.models.backbones.resnet import ResNet
from regard.models.backbones.vgg import VGG


class Recognizer(nn.Module):
    """A backbone, the mean over all positions of its last map, and a linear layer: (B, 3, H, W) ->
    (B, num_classes).
    """

    def __init__(self, backbone: VGG | ResNet, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(backbone.channels[-1], num_classes)

    def describe(self, x: Tensor) -> Tensor:
        """The pooled features: (B, 3, H, W) -> (B, C)."""
        return self.backbone.stages(x)[-1].mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.describe(x))


def log_mean_softmax(logits: Tensor) -> Tensor:
    """Logarithm of the mean of several answers' probabilities, itself logits of that mean: (B, T, K) ->
    (B, K).
    """
    return logits.log_softmax(dim=2).logsumexp(dim=1) - math.log(logits.shape[1])
