"""Bottleneck Attention Module: a channel gate and a spatial gate, side by side, joined into one map.

Park, Woo, Lee & Kweon, "BAM: Bottleneck Attention Module", BMVC 2018, section 3.
https://arxiv.org/abs/1807.06514

    Mc(x) = W1 relu(BN(W0 mean_hw(x)))                                  W0: C -> C / 16
    Ms(x) = conv1x1(f(f(conv1x1(x))))   to C / 16 channels, then to one; f = relu(BN(conv3x3)) with dilation 4
    a     = 1 + sigmoid(Mc(x) * Ms(x))
    y     = a * x

The paper prints sigmoid(Mc + Ms); the product, and no BatchNorm after the last layers, are those of the
authors' code, whose parameters its 25.92 M are.
"""

from torch import Tensor, nn


class BAM(nn.Module):
    """Return x * a, where a = 1 + sigmoid(Mc(x) * Ms(x)) lies in (1, 2).

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W. Training takes two images or more: the channel gate
    has one value per image, and BatchNorm needs two.

    Args:
        channels: C.
        reduction: both gates work on C / reduction channels, rounded down to at least one; the paper uses 16.
        dilation: of the spatial gate's 3x3 convolutions; the paper uses 4.
    """

    def __init__(self, channels: int, reduction: int = 16, dilation: int = 4) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        if reduction < 1 or dilation < 1:
            raise ValueError(f"reduction and dilation must be at least 1, got {reduction} and {dilation}")
        hidden = max(1, channels // reduction)
        self.channel_gate = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
        )
        self.spatial_gate = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            *_dilated(hidden, dilation),
            *_dilated(hidden, dilation),
            nn.Conv2d(hidden, 1, 1),
        )

    def weights(self, x: Tensor) -> Tensor:
        """Factor a of every element, in (1, 2): (B, C, H, W)."""
        channel = self.channel_gate(x.mean(dim=(2, 3), keepdim=True))  # (B, C, 1, 1)
        spatial = self.spatial_gate(x)  # (B, 1, H, W)
        return 1 + (channel * spatial).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)


def _dilated(channels: int, dilation: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
