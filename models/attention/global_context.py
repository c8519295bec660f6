"""Global context blocks: one weighted mean over all positions, the same for every query, added to each of
them.

Cao et al., "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond", ICCV workshops 2019,
section 4. https://arxiv.org/abs/1904.11492

    context  c   = sum_j a_j x_j,   a = softmax_j(W_k x_j)        attention pooling; average: a_j = 1 / (H W)
    SNL      z_i = x_i + W_v c                                    simplified non-local block
    GC       z_i = x_i + W_v2 relu(LayerNorm(W_v1 c))             global context block, fusion by addition
             z_i = x_i * sigmoid(W_v2 relu(LayerNorm(W_v1 c)))    the same, by multiplication

They are non-local blocks whose weights do not depend on the query, which costs 1 / (H W) of the work. As in
the authors' code the last convolution starts at 0, W_v1 reduces the channels 16 times, and GCNet has a block
before the sum in every block of res3, res4 and res5.
"""

import torch
from torch import Tensor, nn

POOLING = ("attention", "average")
FUSION = ("add", "multiply")


class _Context(nn.Module):
    """Shared by both blocks: the context, by attention pooling or, without a key, by average pooling."""

    def __init__(self, key: nn.Conv2d | None) -> None:
        super().__init__()
        self.key = key

    def weights(self, x: Tensor) -> Tensor:
        """Share a_j of each position in the context: (B, 1, H, W)."""
        scores = torch.zeros_like(x[:, :1]) if self.key is None else self.key(x)
        return scores.flatten(2).softmax(dim=2).unflatten(2, x.shape[2:])

    def context(self, x: Tensor) -> Tensor:
        """sum_j a_j x_j: (B, C, 1, 1)."""
        a = self.weights(x).flatten(2).transpose(1, 2)  # (B, HW, 1)
        return torch.matmul(x.flatten(2), a).unsqueeze(3)


class SimplifiedNonLocal(_Context):
    """Return x + W_v c. Starts as the identity.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        super().__init__(nn.Conv2d(channels, 1, kernel_size=1))
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        _zero(self.value)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.value(self.context(x))


class GlobalContext(_Context):
    """Return x + t, or x * sigmoid(t), where t = W_v2 relu(LayerNorm(W_v1 c)). With fusion by addition it
    starts as the identity.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W.

    Args:
        channels: C.
        reduction: W_v1 maps C to C / reduction, at least 2 channels, as the LayerNorm of a single one is
            constant; the paper uses 16.
        pooling: "attention" or "average".
        fusion: "add" or "multiply".
    """

    def __init__(
        self, channels: int, reduction: int = 16, *, pooling: str = "attention", fusion: str = "add"
    ) -> None:
        if reduction < 1 or channels % reduction or channels < 2 * reduction:
            raise ValueError(
                f"channels must be a multiple of reduction, at least twice it, got {channels} and {reduction}"
            )
        if pooling not in POOLING:
            raise ValueError(f"pooling must be one of {POOLING}, got {pooling!r}")
        if fusion not in FUSION:
            raise ValueError(f"fusion must be one of {FUSION}, got {fusion!r}")
        super().__init__(nn.Conv2d(channels, 1, kernel_size=1) if pooling == "attention" else None)
        self.multiply = fusion == "multiply"
        inner = channels // reduction
        last = nn.Conv2d(inner, channels, kernel_size=1)
        _zero(last)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, inner, kernel_size=1), nn.LayerNorm([inner, 1, 1]), nn.ReLU(), last
        )

    def forward(self, x: Tensor) -> Tensor:
        change = self.transform(self.context(x))  # (B, C, 1, 1)
        return x * change.sigmoid() if self.multiply else x + change


def _zero(convolution: nn.Conv2d) -> None:
    nn.init.zeros_(convolution.weight)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
