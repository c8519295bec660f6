"""ResNet with an optional attention mechanism, dilation, and torchvision's state-dict names.

He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
https://arxiv.org/abs/1512.03385
The stride of a bottleneck is in its 3x3 convolution (as in torchvision; often called v1.5).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from regard.models.attention import AttentionChoice, find_attention
from regard.models.backbones.backbone import Backbone, last_filters
from regard.models.placement import place

DEPTHS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}


class Block(nn.Module, ABC):
    """What the two residual blocks share: relu(attention(residual(x)) + shortcut(x)), then `context`.

    A ResidualBlock, see `regard.models.placement`.
    """

    expansion: int
    conv2: nn.Module  # the last 3x3 convolution

    def __init__(self, width: int, spatial_stride: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.out_channels = width * self.expansion
        self.spatial_channels, self.spatial_stride = width, spatial_stride
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut
        self.inner: nn.Module = nn.Identity()  # beside conv2, so that its name stays torchvision's
        self.attention: nn.Module = nn.Identity()
        self.context: nn.Module = nn.Identity()

    def follow_spatial(self, module: nn.Module) -> None:
        self.inner = module

    def replace_spatial(self, module: nn.Module) -> None:
        self.conv2 = module

    @abstractmethod
    def residual(self, x: Tensor) -> Tensor:
        """The branch beside the shortcut: (B, C, H, W) -> (B, out_channels, H / stride, W / stride)."""

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.context(self.relu(self.attention(self.residual(x)) + shortcut))


class BasicBlock(Block):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        stride: int,
        dilations: tuple[int, int],
        shortcut: nn.Module | None,
    ) -> None:
        super().__init__(width, 1, shortcut)
        first, second = dilations
        self.conv1 = nn.Conv2d(channels, width, 3, stride, first, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, second, second, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def residual(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.inner(self.conv2(x)))


class Bottleneck(Block):
    """1x1, 3x3 and 1x1 convolutions; the last widens four times."""

    expansion = 4

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        stride: int,
        dilations: tuple[int, int],
        shortcut: nn.Module | None,
    ) -> None:
        super().__init__(width, stride, shortcut)
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilations[0], dilations[0], bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * 4)

    def residual(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.inner(self.conv2(x))))
        return self.bn3(self.conv3(x))


class ResNet(Backbone):
    """Feature maps of the four stages, at strides 4, 8, 16 and 32 (or kept at `output_stride` by dilation).

    Shape: (B, 3, H, W) -> four maps (B, channels[i], H / stride_i, W / stride_i), sizes rounded up.

    Args:
        depth: 18, 34, 50 or 101.
        attention: a name of `ATTENTION` or a Mechanism, put where its placement says.
        output_stride: 8, 16 or 32.
        multi_grid: dilation of each block of the last stage, instead of the one that keeps what a strided
            network computes.
        width: channels of the first stage; 64 in the paper.
        stem: "imagenet" is the paper's 7x7 convolution and pooling, stride 4; "small" is a 3x3 convolution of
            stride 1, as the paper uses on CIFAR's 32x32 images; all strides are then a quarter of those
            stated here.
    """

    def __init__(
        self,
        depth: int,
        *,
        attention: AttentionChoice = None,
        output_stride: int = 32,
        multi_grid: Sequence[int] | None = None,
        width: int = 64,
        stem: str = "imagenet",
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {sorted(DEPTHS)}, got {depth}")
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, got {output_stride}")
        if multi_grid is not None and (
            output_stride == 32 or len(multi_grid) != DEPTHS[depth][3] or min(multi_grid) < 1
        ):
            raise ValueError(
                f"multi_grid must be {DEPTHS[depth][3]} dilations of at least 1 for depth {depth}, at "
                f"output_stride 8 or 16, got {tuple(multi_grid)} at {output_stride}"
            )
        if stem not in ("imagenet", "small"):
            raise ValueError(f"stem must be 'imagenet' or 'small', got {stem!r}")
        block = BasicBlock if depth < 50 else Bottleneck
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
            self.maxpool: nn.Module = nn.MaxPool2d(3, 2, 1)
        else:
            self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

        widths = [width * 2**stage for stage in range(4)]
        self.channels = [w * block.expansion for w in widths]
        natural = 4 if stem == "imagenet" else 1
        self.strides = [natural * min(2**stage, output_stride // 4) for stage in range(4)]
        counts = DEPTHS[depth]
        dilated = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}[output_stride]
        previous = [width, *self.channels[:3]]
        grids = (None, None, None, multi_grid)
        stages = [
            _stage(
                block,
                previous[i],
                widths[i],
                counts[i],
                stride=1 if i == 0 else 2,
                dilation=dilated[i],
                grid=grids[i],
            )
            for i in range(4)
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        _initialize(self)
        if (mechanism := find_attention(attention)) is not None:
            self.placed = place(
                mechanism, [[block for block in stage if isinstance(block, Block)] for stage in stages]
            )

    def stages(self, x: Tensor) -> list[Tensor]:
        """The four feature maps of an image batch (B, 3, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for stage in self._layers():
            x = stage(x)
            maps.append(x)
        return maps

    def filters(self, stage: int) -> Tensor:
        return last_filters(self._layers()[stage])

    def _layers(self) -> list[nn.Sequential]:
        return [self.layer1, self.layer2, self.layer3, self.layer4]


def _stage(
    block: type[BasicBlock | Bottleneck],
    channels: int,
    width: int,
    count: int,
    *,
    stride: int,
    dilation: int,
    grid: Sequence[int] | None,
) -> nn.Sequential:
    """`count` blocks. Where `dilation` replaces the stride, what the stride would have followed keeps the
    dilation of the stage before.

    A grid is the dilation of each block.
    """
    first = dilation
    if dilation > 1:
        stride, first = 1, dilation // 2
    out = width * block.expansion
    shortcut = None
    if stride != 1 or channels != out:
        shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
    dilations = (
        [(first, dilation)] + [(dilation, dilation)] * (count - 1) if grid is None else [(d, d) for d in grid]
    )
    blocks = [block(channels, width, stride=stride, dilations=dilations[0], shortcut=shortcut)]
    blocks += [block(out, width, stride=1, dilations=each, shortcut=None) for each in dilations[1:]]
    return nn.Sequential(*blocks)


def _initialize(network: nn.Module) -> None:
    """He initialization of the convolutions (fan out), as torchvision does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
