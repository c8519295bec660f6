"""MobileNetV2 with an optional attention mechanism, dilation, and torchvision's state-dict names.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2.
https://arxiv.org/abs/1801.04381
"""

from torch import Tensor, nn

from regard.models.attention import AttentionChoice, find_attention
from regard.models.backbones.backbone import Backbone, last_filters, results_at
from regard.models.placement import place

# expansion t, channels c, repeats n, stride s of the first repeat (table 2)
SETTINGS = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]
STAGE_ENDS = (3, 6, 13, 17)  # index in `features` of the last block at strides 4, 8, 16 and 32


def conv_bn_relu6(
    channels: int, out: int, kernel_size: int, *, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Convolution, BatchNorm and ReLU6, padded to keep the size at stride 1."""
    padding = (kernel_size - 1) // 2 * dilation
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel_size, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1; with a shortcut where the shape allows it.

    A ResidualBlock, see `regard.models.placement`; its 3x3 convolution is the depthwise one.
    """

    def __init__(self, channels: int, out: int, *, stride: int, dilation: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [conv_bn_relu6(channels, hidden, 1)]
        layers += [
            conv_bn_relu6(hidden, hidden, 3, stride=stride, groups=hidden, dilation=dilation),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        ]
        self.conv = nn.Sequential(*layers)
        self.out_channels = out
        self.spatial_channels, self.spatial_stride = hidden, stride
        self.has_shortcut = stride == 1 and channels == out
        self.attention: nn.Module = nn.Identity()
        self.context: nn.Module = nn.Identity()

    def follow_spatial(self, module: nn.Module) -> None:
        depthwise = self._depthwise()
        depthwise[0] = nn.Sequential(depthwise[0], module)

    def replace_spatial(self, module: nn.Module) -> None:
        self._depthwise()[0] = module

    def _depthwise(self) -> nn.Sequential:
        layers = self.conv[-3]
        assert isinstance(layers, nn.Sequential)
        return layers

    def forward(self, x: Tensor) -> Tensor:
        y = self.attention(self.conv(x))
        return self.context(x + y if self.has_shortcut else y)


class MobileNetV2(Backbone):
    """Feature maps of the four stages, at strides 4, 8, 16 and 32 (or kept at `output_stride` by dilation).

    Shape: (B, 3, H, W) -> four maps (B, channels[i], H / stride_i, W / stride_i), sizes rounded up; channels
    are 24, 32, 96, 320. The last 1x1 convolution to 1280 channels belongs to the classifier.

    Args:
        attention: a name of `ATTENTION` or a Mechanism, put where its placement says. Blocks have as few as
            16 channels and not always a multiple of 16, so that a gate needs a smaller reduction than its
            paper's: partial(SqueezeExcite, reduction=8), say.
        output_stride: 8, 16 or 32.
    """

    def __init__(self, *, attention: AttentionChoice = None, output_stride: int = 32) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, got {output_stride}")
        self.channels = [24, 32, 96, 320]
        self.strides = [min(stride, output_stride) for stride in (4, 8, 16, 32)]
        layers: list[nn.Module] = [conv_bn_relu6(3, 32, 3, stride=2)]
        channels, current, dilation = 32, 2, 1
        for expansion, out, repeats, first_stride in SETTINGS:
            for repeat in range(repeats):
                stride, block_dilation = (first_stride if repeat == 0 else 1), dilation
                if stride == 2 and current == output_stride:
                    # this block keeps the old dilation, the next ones take the new
                    stride, dilation = 1, dilation * 2
                current *= stride
                layers.append(
                    InvertedResidual(
                        channels, out, stride=stride, dilation=block_dilation, expansion=expansion
                    )
                )
                channels = out
        self.features = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if (mechanism := find_attention(attention)) is not None:
            starts = (1, *(end + 1 for end in STAGE_ENDS[:3]))
            stages = [layers[start : end + 1] for start, end in zip(starts, STAGE_ENDS, strict=True)]
            self.placed = place(
                mechanism,
                [[block for block in stage if isinstance(block, InvertedResidual)] for stage in stages],
            )

    def stages(self, x: Tensor) -> list[Tensor]:
        """The four feature maps of an image batch (B, 3, H, W)."""
        return results_at(STAGE_ENDS, self.features, x)

    def filters(self, stage: int) -> Tensor:
        return last_filters(self.features[STAGE_ENDS[stage]].get_submodule("conv"))
