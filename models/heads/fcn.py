"""Fully convolutional head, and the auxiliary head that others train beside them.

Long, Shelhamer & Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015.
https://arxiv.org/abs/1411.4038
In the dilated form of PSPNet (Zhao et al., CVPR 2017, section 3.3), whose auxiliary loss on res4 weighs 0.4.
"""

from torch import Tensor, nn

from regard.models.heads.layers import conv_bn_relu


class FCNHead(nn.Module):
    """3x3 convolution to `inner` channels: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of the result; C / 4 in the paper's dilated form.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(channels, inner, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)
