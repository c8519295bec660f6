"""SENet-154 and SE-ResNeXt: grouped bottlenecks with a channel gate.

Hu, Shen & Sun, "Squeeze-and-Excitation Networks", CVPR 2018, section 6 (SENet-154, the ILSVRC 2017 entry) and
table 2. https://arxiv.org/abs/1709.01507 Xie et al., "Aggregated Residual Transformations for Deep Neural
Networks", CVPR 2017 (ResNeXt 32x4d). https://arxiv.org/abs/1611.05431

SENet-154 is a 64x4d ResNeXt-152 with half the channels in each bottleneck's first 1x1 convolution, three 3x3
convolutions as stem, 3x3 convolutions in the shortcuts that have a stride, and dropout of 0.2 before the
classifier. This, strides in the 3x3 convolutions and the stem's pooling (no padding, rounding up) are those
of the published networks: 115,088,984 parameters, and 27,559,896 and 48,955,416 for SE-ResNeXt-50 and -101.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import ClassVar

from torch import Tensor, nn

from regard.models.attention.se import SqueezeExcite
from regard.models.backbones.backbone import Backbone, last_filters, results_at
from regard.models.backbones.resnet import Block

RESNEXT_DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class GroupedBottleneck(Block):
    """1x1, grouped 3x3 and 1x1 convolutions, then the gate: (B, C, H, W) ->
    (B, 4 width, H / stride, W / stride), sizes rounded up.

    Args:
        channels: C.
        width: the first convolution has 2 width channels, the block's result 4 width.
        spatial: channels of the 3x3 convolution.
        groups: of the 3x3 convolution.
        stride: of the 3x3 convolution.
        shortcut: None for the identity.
    """

    expansion = 4

    def __init__(
        self, channels: int, width: int, *, spatial: int, groups: int, stride: int, shortcut: nn.Module | None
    ) -> None:
        super().__init__(width, stride, shortcut)
        self.conv1 = nn.Conv2d(channels, 2 * width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * width)
        self.conv2 = nn.Conv2d(2 * width, spatial, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(spatial)
        self.conv3 = nn.Conv2d(spatial, self.out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(self.out_channels)
        self.spatial_channels = spatial
        self.attention = SqueezeExcite(self.out_channels)

    def residual(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.inner(self.conv2(x))))
        return self.bn3(self.conv3(x))


class SENet(Backbone):
    """Feature maps of the four stages, at strides 4, 8, 16 and 32.

    Shape: (B, 3, H, W) -> four maps (B, channels[i], H / stride_i, W / stride_i), for H and W of at least 3;
    the stem's pooling rounds sizes down, all else up.

    Args:
        stem: width (in `width`s), side and stride of each of its convolutions; pooling follows.
        counts: blocks of the four stages.
        width: of the first stage's blocks, a multiple of 4; doubles with each stage.
        groups: of the blocks.
        widening: channels of the blocks' 3x3 convolution, in widths.
        shortcut_kernel: side of the convolution in the shortcuts that have a stride.
    """

    former_names: ClassVar[Mapping[str, str]] = {"blocks.": "stages."}
    smallest_image = 3  # the stem's pooling takes two rows and columns of its first convolution's

    def __init__(
        self,
        stem: Sequence[tuple[int, int, int]],
        counts: tuple[int, int, int, int],
        *,
        width: int,
        groups: int,
        widening: int,
        shortcut_kernel: int,
    ) -> None:
        super().__init__()
        if width < 4 or width % 4:
            raise ValueError(f"width must be a multiple of 4 for the gates' reduction by 16, got {width}")
        if len(counts) != 4 or min(counts) < 1:
            raise ValueError(f"counts must be four numbers of blocks, each at least 1, got {counts}")
        if groups < 1 or 2 * width % groups:
            raise ValueError(f"groups must divide the {2 * width} channels of width {width}, got {groups}")
        self.channels = [4 * width * 2**stage for stage in range(4)]
        self.strides = [4, 8, 16, 32]
        self.ends = [count - 1 for count in accumulate(counts)]  # of the stages, as indices of `blocks`
        channels, layers = 3, []
        for widths, kernel_size, stride in stem:
            layers += _conv_bn_relu(channels, widths * width, kernel_size, stride)
            channels = widths * width
        self.stem = nn.Sequential(*layers, nn.MaxPool2d(3, 2, ceil_mode=True))
        blocks: list[nn.Module] = []
        for stage, count in enumerate(counts):
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                shortcut = (
                    _shortcut(channels, 4 * width, stride, shortcut_kernel if stride > 1 else 1)
                    if index == 0
                    else None
                )
                blocks.append(
                    GroupedBottleneck(
                        channels,
                        width,
                        spatial=widening * width,
                        groups=groups,
                        stride=stride,
                        shortcut=shortcut,
                    )
                )
                channels = 4 * width
            width *= 2
        self.blocks = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stages(self, x: Tensor) -> list[Tensor]:
        """The four feature maps of an image batch (B, 3, H, W)."""
        self.check_image(x)
        return results_at(self.ends, self.blocks, self.stem(x))

    def filters(self, stage: int) -> Tensor:
        return last_filters(self.blocks[self.ends[stage]])


def senet154(
    *, width: int = 64, groups: int = 64, counts: tuple[int, int, int, int] = (3, 8, 36, 3)
) -> SENet:
    """SENet-154: a deep stem, wide blocks and strided 3x3 shortcuts. With fewer `counts` it is a shallower
    network of the same blocks.
    """
    return SENet(
        [(1, 3, 2), (1, 3, 1), (2, 3, 1)],
        counts,
        width=width,
        groups=groups,
        widening=4,
        shortcut_kernel=3,
    )


def se_resnext(depth: int, *, width: int = 64, groups: int = 32) -> SENet:
    """SE-ResNeXt of 50 or 101 layers; at width 64 its 32 groups have 4 channels each in the first stage."""
    return SENet(
        [(1, 7, 2)],
        RESNEXT_DEPTHS[depth],
        width=width,
        groups=groups,
        widening=2,
        shortcut_kernel=1,
    )


def _conv_bn_relu(channels: int, out: int, kernel_size: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, out, kernel_size, stride, kernel_size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


def _shortcut(channels: int, out: int, stride: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel_size, stride, kernel_size // 2, bias=False), nn.BatchNorm2d(out)
    )
