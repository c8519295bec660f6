"""PAN's two modules: feature pyramid attention on the last stage, global attention upsampling back through
the others.

Li, Xiong, An & Wang, "Pyramid Attention Network for Semantic Segmentation", BMVC 2018, sections 3.1-3.2.
https://arxiv.org/abs/1805.10180

    FPA   p_1 = conv7(down(x)),  p_2 = conv5(down(p_1)),  p_3 = conv3(down(p_2))    down: max pooling by 2
          g = up(conv7'(p_1) + up(conv5'(p_2) + up(conv3'(p_3))))
          y = g * conv1(x) + up(conv1(mean_hw(x)))
    GAU   y = conv3(low) * relu(BN(conv1(mean_hw(high)))) + up(high)

Every convolution is followed by BatchNorm, and all but conv3(low) by ReLU. Two things are as in
segmentation-models-pytorch: the pyramid has one channel, a weight for each position, and it is pooled by
maximum. That library gates GAU by a sigmoid where the paper has a ReLU, has a ReLU after conv3(low) too, and
takes no map smaller than 8 x 8.
"""

from torch import Tensor, nn

from regard.models.heads.layers import conv_bn_relu, resize


class FeaturePyramidAttention(nn.Module):
    """FPA: (B, C, H, W) -> (B, inner, H, W), for any H and W; an odd last row or column is pooled by itself.

    Args:
        channels: C.
        inner: channels of the result.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.down = nn.ModuleList(
            [conv_bn_relu(channels, 1, 7), conv_bn_relu(1, 1, 5), conv_bn_relu(1, 1, 3)]
        )
        self.same = nn.ModuleList([conv_bn_relu(1, 1, 7), conv_bn_relu(1, 1, 5), conv_bn_relu(1, 1, 3)])
        self.features = conv_bn_relu(channels, inner, 1)
        self.whole = conv_bn_relu(channels, inner, 1)

    def weights(self, x: Tensor) -> Tensor:
        """Weight g of each position, at least 0: (B, 1, H, W)."""
        maps = [x]
        for down in self.down:
            maps.append(down(self.pool(maps[-1])))
        gate = self.same[2](maps[3])
        gate = self.same[1](maps[2]) + resize(gate, maps[2])
        gate = self.same[0](maps[1]) + resize(gate, maps[1])
        return resize(gate, x)

    def forward(self, x: Tensor) -> Tensor:
        return self.weights(x) * self.features(x) + self.whole(x.mean(dim=(2, 3), keepdim=True))


class GlobalAttentionUpsample(nn.Module):
    """GAU: high (B, inner, h, w) and low (B, C, H, W) -> (B, inner, H, W).

    Args:
        low_channels: C.
        inner: channels of the high features and of the result.
    """

    def __init__(self, low_channels: int, inner: int) -> None:
        super().__init__()
        self.low = nn.Sequential(
            nn.Conv2d(low_channels, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
        )
        self.gate = conv_bn_relu(inner, inner, 1)

    def weights(self, high: Tensor) -> Tensor:
        """Weight of each channel of the low features, at least 0: (B, inner, 1, 1)."""
        return self.gate(high.mean(dim=(2, 3), keepdim=True))

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        return self.low(low) * self.weights(high) + resize(high, low)
