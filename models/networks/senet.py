"""SENet-154 and SE-ResNeXt: grouped bottlenecks with a channel gate.

Hu, Shen & Sun, "Squeeze-and-Excitation Networks", CVPR 2018, section 6 (SENet-154, the ILSVRC 2017 entry) and
table 2. https://arxiv.org/abs/1709.01507 Xie et al., "Aggregated Residual Transformations for Deep Neural
Networks", CVPR 2017 (ResNeXt 32x4d). https://arxiv.org/abs/1611.05431

SENet-154 is a 64x4d ResNeXt-152 with half the channels in each bottleneck's first 1x1 convolution, three 3x3
convolutions as stem, 3x3 convolutions in the shortcuts that have a stride, and dropout of 0.2 before the
classifier. This, strides in the 3x3 convolutions and the stem's pooling (no padding, rounding up) are those
of the published networks: 115,088,984 parameters, and 27,559,896 and 48,955,416 for SE-ResNeXt-50 and -101.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from regard.models.attention.se import SqueezeExcite
from regard.models.backbones.resnet import Block
from regard.models.classifiers import Classifier, GlobalAveragePool, check_classes

SMALLEST_IMAGE = 3  # rows and columns; the stem's pooling takes two of its first convolution's
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


class SENet(Classifier):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes), H and W at least 3.

    Args:
        stem: width (in `width`s), side and stride of each of its convolutions; pooling follows.
        counts: blocks of the four stages.
        num_classes: K.
        width: of the first stage's blocks, a multiple of 4; doubles with each stage.
        groups: of the blocks.
        widening: channels of the blocks' 3x3 convolution, in widths.
        shortcut_kernel: side of the convolution in the shortcuts that have a stride.
        dropout: fraction of the features dropped before the classifier, in training.
    """

    def __init__(
        self,
        stem: Sequence[tuple[int, int, int]],
        counts: tuple[int, int, int, int],
        *,
        num_classes: int,
        width: int,
        groups: int,
        widening: int,
        shortcut_kernel: int,
        dropout: float,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if width < 4 or width % 4:
            raise ValueError(f"width must be a multiple of 4 for the gates' reduction by 16, got {width}")
        if len(counts) != 4 or min(counts) < 1:
            raise ValueError(f"counts must be four numbers of blocks, each at least 1, got {counts}")
        if groups < 1 or 2 * width % groups:
            raise ValueError(f"groups must divide the {2 * width} channels of width {width}, got {groups}")
        channels, layers = 3, []
        for widths, kernel_size, stride in stem:
            layers += _conv_bn_relu(channels, widths * width, kernel_size, stride)
            channels = widths * width
        self.stem = nn.Sequential(*layers, nn.MaxPool2d(3, 2, ceil_mode=True))
        stages: list[nn.Module] = []
        for stage, count in enumerate(counts):
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                shortcut = (
                    _shortcut(channels, 4 * width, stride, shortcut_kernel if stride > 1 else 1)
                    if index == 0
                    else None
                )
                stages.append(
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
        self.stages = nn.Sequential(*stages)
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def feature_map(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) < SMALLEST_IMAGE:
            raise ValueError(
                f"images must have {SMALLEST_IMAGE} rows and columns or more for the stem's pooling, got "
                f"{tuple(x.shape[2:])}"
            )
        return self.stages(self.stem(x))

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, self.dropout, self.fc]


def senet154(
    *,
    num_classes: int = 1000,
    width: int = 64,
    groups: int = 64,
    counts: tuple[int, int, int, int] = (3, 8, 36, 3),
) -> SENet:
    """SENet-154: a deep stem, wide blocks and strided 3x3 shortcuts. With fewer `counts` it is a shallower
    network of the same blocks.
    """
    return SENet(
        [(1, 3, 2), (1, 3, 1), (2, 3, 1)],
        counts,
        num_classes=num_classes,
        width=width,
        groups=groups,
        widening=4,
        shortcut_kernel=3,
        dropout=0.2,
    )


def se_resnext(depth: int, *, num_classes: int = 1000, width: int = 64, groups: int = 32) -> SENet:
    """SE-ResNeXt of 50 or 101 layers; at width 64 its 32 groups have 4 channels each in the first stage."""
    return SENet(
        [(1, 7, 2)],
        RESNEXT_DEPTHS[depth],
        num_classes=num_classes,
        width=width,
        groups=groups,
        widening=2,
        shortcut_kernel=1,
        dropout=0.0,
    )


def _conv_bn_relu(channels: int, out: int, kernel_size: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, out, kernel_size, stride, kernel_size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


def _shortcut(channels: int, out: int, stride: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel_size, stride, kernel_size // 2, bias=False), nn.BatchNorm2d(out)
    )
