"""SAN: a backbone whose only spatial operations are local self-attention and pooling.

Zhao, Jia & Koltun, "Exploring Self-attention for Image Recognition", CVPR 2020, table 1.
https://arxiv.org/abs/2004.13621

    stage i     2x2 max pooling, 1x1 convolution to C_i channels, its blocks, BatchNorm, ReLU
    block       x + linear(relu(norm(attention(relu(norm(x))))))

C is 64, 256, 512, 1024 and 2048. Before the first stage a 1x1 convolution takes the colours to 64 channels.
The order of the layers and the parameters are those of the authors' code, github.com/hszhao/SAN.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone, last_filters, results_at
from regard.models.parts.footprint_attention import FootprintAttention, PairwiseAttention, PatchwiseAttention

LAYERS = {10: (2, 1, 2, 4, 1), 15: (3, 2, 3, 5, 2), 19: (3, 3, 4, 6, 3)}  # blocks of each stage
FORMS: dict[str, Callable[..., FootprintAttention]] = {
    "pairwise": PairwiseAttention,
    "patchwise": PatchwiseAttention,
}


class SANBlock(nn.Module):
    """x + linear(relu(norm(attention(relu(norm(x)))))): (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, attention: FootprintAttention) -> None:
        super().__init__()
        inner = attention.value.out_channels
        self.norm1 = nn.BatchNorm2d(channels)
        self.attention = attention
        self.norm2 = nn.BatchNorm2d(inner)
        self.linear = nn.Conv2d(inner, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.attention(self.norm1(x).relu())
        return x + self.linear(self.norm2(y).relu())


class SAN(Backbone):
    """Feature maps of the five stages, at strides 2, 4, 8, 16 and 32.

    Shape: (B, 3, H, W) -> five maps (B, channels[i], H / stride_i, W / stride_i), sizes rounded down, for H
    and W of at least 32.

    Args:
        depth: 10, 15 or 19.
        form: of the attention, "pairwise" or "patchwise".
        width: channels of the first stage; 64 in the paper.
        footprints: side of the attention's footprint in each of the five stages.
        share: number of channels that share attention weights; it divides width / 4.
    """

    smallest_image = 32  # for the five poolings

    def __init__(
        self,
        depth: int,
        form: str,
        *,
        width: int = 64,
        footprints: Sequence[int] = (3, 7, 7, 7, 7),
        share: int = 8,
    ) -> None:
        super().__init__()
        if depth not in LAYERS:
            raise ValueError(f"depth must be one of {sorted(LAYERS)}, got {depth}")
        if form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
        if width < 16 or width % 16:
            raise ValueError(f"width must be a multiple of 16, got {width}")
        if len(footprints) != len(LAYERS[depth]):
            raise ValueError(
                f"footprints must be {len(LAYERS[depth])} numbers, one for each stage, got {len(footprints)}"
            )
        self.channels = [width, *(width * 2**stage for stage in range(2, 6))]
        self.strides = [2, 4, 8, 16, 32]
        self.ends: list[int] = []  # of the stages, as indices of `features`
        layers = _convolution(3, width)
        previous = width
        for channels, blocks, footprint in zip(self.channels, LAYERS[depth], footprints, strict=True):
            layers += [nn.MaxPool2d(2), nn.Conv2d(previous, channels, kernel_size=1, bias=False)]
            layers += [
                SANBlock(channels, FORMS[form](channels, footprint, share=share)) for _ in range(blocks)
            ]
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            previous = channels
            self.ends.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)

    def stages(self, x: Tensor) -> list[Tensor]:
        """The five feature maps of an image batch (B, 3, H, W)."""
        self.check_image(x)
        return results_at(self.ends, self.features, x)

    def filters(self, stage: int) -> Tensor:
        return last_filters(self.features[: self.ends[stage] + 1])


def _convolution(channels: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, kernel_size=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
