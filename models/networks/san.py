"""SAN: an image classifier whose only spatial operations are local self-attention and pooling.

Zhao, Jia & Koltun, "Exploring Self-attention for Image Recognition", CVPR 2020, table 1.
https://arxiv.org/abs/2004.13621

    stage i     2x2 max pooling, 1x1 convolution to C_i channels, its blocks, BatchNorm, ReLU        C = 64,
                256, 512, 1024, 2048
    block       x + linear(relu(norm(attention(relu(norm(x))))))

Before the first stage a 1x1 convolution takes the colours to 64 channels. The order of the layers and the
parameters are those of the authors' code, github.com/hszhao/SAN.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from regard.models.attention.san import FootprintAttention, PairwiseAttention, PatchwiseAttention
from regard.models.classifiers import Classifier, GlobalAveragePool, check_classes

LAYERS = {10: (2, 1, 2, 4, 1), 15: (3, 2, 3, 5, 2), 19: (3, 3, 4, 6, 3)}  # blocks of each stage
FORMS: dict[str, Callable[..., FootprintAttention]] = {
    "pairwise": PairwiseAttention,
    "patchwise": PatchwiseAttention,
}
STRIDE = 32


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


class SAN(Classifier):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes), for H and W of at least 32.

    Args:
        depth: 10, 15 or 19.
        form: of the attention, "pairwise" or "patchwise".
        num_classes: K.
        width: channels of the first stage; 64 in the paper.
        footprints: side of the attention's footprint in each of the five stages.
        share: number of channels that share attention weights; it divides width / 4.
    """

    def __init__(
        self,
        depth: int,
        form: str,
        *,
        num_classes: int = 1000,
        width: int = 64,
        footprints: Sequence[int] = (3, 7, 7, 7, 7),
        share: int = 8,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
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
        layers = _convolution(3, width)
        previous = width
        for channels, blocks, footprint in zip(_channels(width), LAYERS[depth], footprints, strict=True):
            layers += [nn.MaxPool2d(2), nn.Conv2d(previous, channels, kernel_size=1, bias=False)]
            layers += [
                SANBlock(channels, FORMS[form](channels, footprint, share=share)) for _ in range(blocks)
            ]
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            previous = channels
        self.features = nn.Sequential(*layers)
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(previous, num_classes)

    def feature_map(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if height < STRIDE or width < STRIDE:
            raise ValueError(f"images must be at least {STRIDE} x {STRIDE}, got {height} x {width}")
        return self.features(x)

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, self.fc]


def _channels(width: int) -> list[int]:
    return [width, *(width * 2**stage for stage in range(2, 6))]


def _convolution(channels: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, kernel_size=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
