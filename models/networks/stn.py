"""A classifier that straightens its input first: a spatial transformer before a ResNet.

Jaderberg, Simonyan, Zisserman & Kavukcuoglu, "Spatial Transformer Networks", NIPS 2015, section 4.
https://arxiv.org/abs/1506.02025

    y = classifier(x read on the grid T_theta(x))

The paper puts spatial transformers before plain convolutional networks and Inception; here it is the ResNet
that the other classifiers share. The network is not split into a feature map and a head: its features lie in
the warped image, so that a map of their importance would not lie over the image given. `weights` of the
transformer shows where the classifier looks.
"""

from typing import Any

from torch import Tensor, nn

from regard.models.attention.spatial_transformer import spatial_transformer
from regard.models.backbones.resnet import ResNet
from regard.models.classifiers import ImageClassifier
from regard.models.signatures import passes_options_to


class SpatialTransformerNetwork(nn.Module):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    Args:
        transformation: "affine", "attention", "projective" or "tps".
        num_classes: K.
        depth: of the ResNet.
        localisation_width: channels of the localisation network.
        options: see `ResNet`.
    """

    @passes_options_to(ResNet)
    def __init__(
        self,
        transformation: str,
        *,
        num_classes: int = 1000,
        depth: int = 18,
        localisation_width: int = 16,
        **options: Any,
    ) -> None:
        super().__init__()
        self.transformer = spatial_transformer(3, transformation, localisation_width)
        self.classifier = ImageClassifier(ResNet(depth, **options), num_classes=num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.transformer(x))
