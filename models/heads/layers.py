"""What several heads are made of: convolution blocks, and resizing to another map."""

import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn_relu(channels: int, out: int, kernel_size: int, *, dilation: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm and ReLU that keep the map's size."""
    return nn.Sequential(
        nn.Conv2d(
            channels, out, kernel_size, padding=kernel_size // 2 * dilation, dilation=dilation, bias=False
        ),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


def separable_conv_bn_relu(channels: int, out: int) -> nn.Sequential:
    """Depthwise 3x3 convolution, then pointwise, each with BatchNorm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, out, 1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear interpolation to the size of another map or image: (B, C, h, w) -> (B, C, H, W)."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
