"""The small network of strided convolutions that reads images in visual question answering.

Santoro et al., "A simple neural network module for relational reasoning", NeurIPS 2017, section 4.
https://arxiv.org/abs/1706.01427

Each layer is a 3x3 convolution of stride 2, ReLU and BatchNorm, all of the same width; four layers of 24
channels in the paper.
"""

from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone, last_filters


class StridedCNN(Backbone):
    """The map after each layer, at strides 2, 4, 8 ...

    Shape: (B, 3, H, W) -> maps (B, width, H / stride_i, W / stride_i), sizes rounded up.

    Args:
        layers: how many.
        width: channels of every layer.
    """

    def __init__(self, layers: int = 4, *, width: int = 24) -> None:
        super().__init__()
        if layers < 1 or width < 1:
            raise ValueError(f"layers and width must be at least 1, got {layers} and {width}")
        self.channels = [width] * layers
        self.strides = [2 ** (layer + 1) for layer in range(layers)]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width if layer else 3, width, 3, 2, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(width)
            )
            for layer in range(layers)
        )

    def stages(self, x: Tensor) -> list[Tensor]:
        """The layers' maps of an image batch (B, 3, H, W)."""
        maps: list[Tensor] = []
        for layer in self.layers:
            maps.append(layer(maps[-1] if maps else x))
        return maps

    def filters(self, stage: int) -> Tensor:
        return last_filters(self.layers[stage])
