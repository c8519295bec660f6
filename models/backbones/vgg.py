"""VGG with torchvision's state-dict names, without its fully connected layers.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, table 1
(D and E). https://arxiv.org/abs/1409.1556
"""

from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone, last_filters

CONVOLUTIONS: dict[int, tuple[int, int, int, int, int]] = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(Backbone):
    """Feature maps of the five stages before their pooling: conv1_2, conv2_2, ... conv5_3 or conv5_4, at
    strides 1, 2, 4, 8 and 16.

    Shape: (B, 3, H, W) -> five maps (B, channels[i], H / stride_i, W / stride_i), sizes rounded down.

    Args:
        depth: 16 or 19, counted with the three fully connected layers that are left out.
        width: channels of the first stage; 64 in the paper.
        batch_norm: normalize after each convolution, as torchvision's vgg16_bn and vgg19_bn do; the paper
            does not.
    """

    smallest_image = 16  # for the four poolings

    def __init__(self, depth: int, *, width: int = 64, batch_norm: bool = False) -> None:
        super().__init__()
        if depth not in CONVOLUTIONS:
            raise ValueError(f"depth must be one of {sorted(CONVOLUTIONS)}, got {depth}")
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.channels = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.strides = [1, 2, 4, 8, 16]
        layers: list[nn.Module] = []
        previous = 3
        for stage, (channels, count) in enumerate(zip(self.channels, CONVOLUTIONS[depth], strict=True)):
            if stage:
                layers.append(nn.MaxPool2d(2))
            for _ in range(count):
                layers.append(nn.Conv2d(previous, channels, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(channels))
                layers.append(nn.ReLU(inplace=True))
                previous = channels
        self.features = nn.Sequential(*layers)
        for module in self.features:
            if isinstance(module, nn.Conv2d):  # as torchvision does
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def stages(self, x: Tensor) -> list[Tensor]:
        """The five feature maps of an image batch (B, 3, H, W)."""
        self.check_image(x)
        maps = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps, x]

    def filters(self, stage: int) -> Tensor:
        poolings = [i for i, layer in enumerate(self.features) if isinstance(layer, nn.MaxPool2d)]
        return last_filters(self.features[: [*poolings, len(self.features)][stage]])
