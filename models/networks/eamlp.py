"""EAMLP: a tokens-to-token vision transformer whose every self-attention is an external attention.

Guo, Liu, Mu & Hu, "Beyond Self-attention: External Attention using Two Linear Layers for Visual Tasks", 2021,
its network for ImageNet. https://arxiv.org/abs/2105.02358. The network around it: Yuan et al.,
"Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet", ICCV 2021.
https://arxiv.org/abs/2101.11986

    soft split     each token is an overlapping window: 7x7 of the image by strides of 4, then 3x3 by strides
                   of 2, twice
    token layer    after the first two splits: q = W norm(x),  z = q + W' external(q),  y = z + mlp(norm(z))
    encoder        a class token, fixed sinusoid positions, blocks with multi-head external attention, and a
                   linear classifier

Layers and sizes follow the authors' code: 128 memory slots and one head in a token layer, with memories that
start as one; in the encoder four times T2T-ViT's heads over four times the width, and 64 slots. Stochastic
depth belongs to their training recipe and is left out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.attention.external import TokenExternalAttention, normalize_twice
from regard.models.classifiers import check_classes
from regard.models.parts.image_size import check_square
from regard.models.parts.transformer import EncoderBlock, Perceptron, initialize_linears

STRIDE = 16  # of the three soft splits together
SLOTS = 128
DROPOUT = 0.1


class TokenLayer(nn.Module):
    """A block that narrows the tokens: (B, N, inputs) -> (B, N, width).

    Args:
        inputs: width of the incoming tokens.
        width: of the outgoing ones.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(inputs)
        self.query = nn.Linear(inputs, width)
        self.memory_key = nn.Linear(width, SLOTS, bias=False)
        self.memory_value = nn.Linear(SLOTS, width)
        self.project = nn.Linear(width, width)
        self.dropout = nn.Dropout(DROPOUT)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Perceptron(width, width)

    def weights(self, query: Tensor) -> Tensor:
        """Attention of each token (second axis) to every slot (third), rows sum to 1: (B, N, slots)."""
        return normalize_twice(self.memory_key(query), positions=1, slots=2)

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(self.norm1(x))
        read = self.memory_value(self.dropout(self.weights(query)))
        x = query + self.dropout(self.project(read))
        return x + self.mlp(self.norm2(x))


class EAMLP(nn.Module):
    """Class scores (logits) of an image batch: (B, 3, S, S) -> (B, num_classes), S = image_size. Positions
    are fixed for one size.

    Args:
        num_classes: K.
        image_size: side of the images, in pixels.
        token_width: of the tokens between the soft splits.
        width: of the encoder's tokens.
        depth: number of the encoder's blocks.
        heads: T2T-ViT's; the external attention has four times as many.
        mlp_ratio: hidden units of each block's perceptron, as a multiple of the width.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        image_size: int = 224,
        token_width: int = 64,
        width: int = 256,
        depth: int = 7,
        heads: int = 4,
        mlp_ratio: int = 2,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if image_size < 1 or image_size % STRIDE:
            raise ValueError(f"image_size must be a multiple of {STRIDE}, got {image_size}")
        for name, value in (("token_width", token_width), ("width", width), ("depth", depth)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.image_size = image_size
        self.token_layer1 = TokenLayer(3 * 7 * 7, token_width)
        self.token_layer2 = TokenLayer(token_width * 3 * 3, token_width)
        # the last soft split and its linear map, in one
        self.embed = nn.Conv2d(token_width, width, kernel_size=3, stride=2, padding=1)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions: Tensor
        self.register_buffer("positions", sinusoids(1 + (image_size // STRIDE) ** 2, width))
        self.blocks = nn.Sequential(
            *(
                EncoderBlock(width, TokenExternalAttention(width, heads), hidden=mlp_ratio * width, eps=1e-5)
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)
        initialize_linears(self)
        nn.init.trunc_normal_(self.embed.weight, std=0.02)
        nn.init.zeros_(self.embed.bias)  # type: ignore[arg-type]  # there is one
        for layer in (self.token_layer1, self.token_layer2):
            with torch.no_grad():
                layer.memory_value.weight.copy_(layer.memory_key.weight.T)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        check_square(x, self.image_size, "EAMLP")
        x = as_map(self.token_layer1(soft_split(x, size=7, stride=4, padding=2)), self.image_size // 4)
        x = as_map(self.token_layer2(soft_split(x, size=3, stride=2, padding=1)), self.image_size // 8)
        patches = self.embed(x).flatten(2).transpose(1, 2)  # (B, N, D)
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), patches], dim=1) + self.positions
        return self.head(self.norm(self.blocks(tokens))[:, 0])


def soft_split(x: Tensor, *, size: int, stride: int, padding: int) -> Tensor:
    """Overlapping windows as tokens: (B, C, H, W) -> (B, windows, C size size)."""
    x = F.pad(x, (padding, padding, padding, padding))
    rows, columns = ((side - size) // stride * stride + 1 for side in x.shape[2:])
    # as slices, because `unfold` is slower and becomes gathers in ONNX
    pixels = [
        x[:, :, i : i + rows : stride, j : j + columns : stride] for i in range(size) for j in range(size)
    ]
    return torch.stack(pixels, dim=2).flatten(3).flatten(1, 2).transpose(1, 2)


def as_map(tokens: Tensor, side: int) -> Tensor:
    """Tokens in their square: (B, side side, C) -> (B, C, side, side)."""
    return tokens.transpose(1, 2).unflatten(2, (side, side))


def sinusoids(count: int, width: int) -> Tensor:
    """Sine (even components) and cosine (odd) of position / 10000^(2 floor(j / 2) / width):
    (1, count, width).
    """
    frequency = 10000 ** (-2 * (torch.arange(width, dtype=torch.float64) // 2) / width)
    angle = torch.arange(count, dtype=torch.float64).unsqueeze(1) * frequency
    even = torch.arange(width) % 2 == 0
    return torch.where(even, angle.sin(), angle.cos()).float().unsqueeze(0)
