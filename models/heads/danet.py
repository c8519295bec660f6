"""DANet's head: position and channel attention side by side, summed.

Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019, section 3.4.
https://arxiv.org/abs/1809.02983

    p = conv(PAM(conv(x)));   c = conv(CAM(conv(x)));   y = p + c

In training the two branches are supervised as well, each through a classifier of its own.
"""

from torch import Tensor, nn

from regard.models.attention.danet import ChannelAttention, PositionAttention
from regard.models.heads.layers import conv_bn_relu


class DANetHead(nn.Module):
    """Sum of a position-attention and a channel-attention branch: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of each branch; C / 4 in the paper.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.position = nn.Sequential(
            conv_bn_relu(channels, inner, 3), PositionAttention(inner), conv_bn_relu(inner, inner, 3)
        )
        self.channel = nn.Sequential(
            conv_bn_relu(channels, inner, 3), ChannelAttention(), conv_bn_relu(inner, inner, 3)
        )

    def branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The position and the channel branch, each (B, inner, H, W)."""
        return self.position(x), self.channel(x)

    def forward(self, x: Tensor) -> Tensor:
        position, channel = self.branches(x)
        return position + channel
