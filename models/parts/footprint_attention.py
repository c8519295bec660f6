"""Local self-attention of SAN: each position gathers its footprint with weights of its own, one for every
`share` channels.

Zhao, Jia & Koltun, "Exploring Self-attention for Image Recognition", CVPR 2020, eqs. 2-5.
https://arxiv.org/abs/2004.13621

    y_i = sum_{j in R(i)} a_j * beta(x_j)

    pairwise    a_j = softmax_j gamma([delta(x_i, x_j), P(p_i) - P(p_j)])    each weight from one pair, i and
                j
    patchwise   a   = gamma([phi(x_i), psi(x_j) for all j in R(i)])          all weights from the whole patch

R(i) are the k x k positions around i, the map mirrored at its borders. phi, psi, beta and P are linear; p_i
is i's position, both coordinates in [-1, 1]; gamma is norm, relu, linear, norm, relu, linear. Layers, biases
and sharing (channel c takes weight c mod C' / share) are those of the authors' code, github.com/hszhao/SAN,
whose parameter counts these modules have. delta is one of RELATIONS, of which the paper's networks use
subtraction.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Relation(NamedTuple):
    """How a pair is compared: delta(phi(x_i), psi(x_j)), and its number of channels where those have D."""

    compare: Callable[[Tensor, Tensor], Tensor]
    channels: Callable[[int], int]


def _beside_position(compare: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The last two channels are the position's, and are always subtracted."""

    def both(query: Tensor, key: Tensor) -> Tensor:
        return torch.cat([compare(query[:, :-2], key[:, :-2]), query[:, -2:] - key[:, -2:]], dim=1)

    return both


RELATIONS: dict[str, Relation] = {
    "subtraction": Relation(torch.sub, lambda d: d),  # the position's channels with the others
    "summation": Relation(_beside_position(torch.add), lambda d: d),
    "hadamard": Relation(_beside_position(torch.mul), lambda d: d),
    "concatenation": Relation(
        _beside_position(lambda query, key: torch.cat([query, key], dim=1)), lambda d: 2 * d
    ),
    "dot": Relation(_beside_position(lambda query, key: (query * key).sum(dim=1, keepdim=True)), lambda _: 1),
}


class FootprintAttention(nn.Module, ABC):
    """Base of the two forms, which differ in `weights`.

    Shape: (B, C, H, W) -> (B, C / r2, H, W), for any H and W; where the map is smaller than half the
    footprint it is mirrored repeatedly.

    Args:
        channels: C.
        footprint: side k of the footprint, odd.
        r1: phi and psi have C / r1 channels.
        r2: beta has C / r2 channels.
        share: number of channels that share a weight; it divides C / r2.
    """

    def __init__(
        self, channels: int, footprint: int = 7, *, r1: int = 16, r2: int = 4, share: int = 8
    ) -> None:
        super().__init__()
        if footprint < 1 or footprint % 2 == 0:
            raise ValueError(f"footprint must be odd and at least 1, got {footprint}")
        for name, ratio in (("r1", r1), ("r2", r2)):
            if ratio < 1 or channels % ratio:
                raise ValueError(f"channels must be a multiple of {name}, got {channels} and {ratio}")
        if share < 1 or channels // r2 % share:
            raise ValueError(f"channels / r2 must be a multiple of share, got {channels} / {r2} and {share}")
        self.footprint = footprint
        self.inner, self.groups = channels // r1, channels // r2 // share
        self.query = nn.Conv2d(channels, self.inner, kernel_size=1)  # phi
        self.key = nn.Conv2d(channels, self.inner, kernel_size=1)  # psi
        self.value = nn.Conv2d(channels, channels // r2, kernel_size=1)  # beta

    @abstractmethod
    def weights(self, x: Tensor) -> Tensor:
        """Weight of each position of the footprint, row by row: (B, C / r2 / share, k * k, H, W)."""

    def mirrored(self, x: Tensor) -> Tensor:
        """The map with half a footprint more on each side: (B, C, H, W) -> (B, C, H + k - 1, W + k - 1)."""
        return mirror(x, self.footprint // 2)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.weights(x)
        return aggregate(self.mirrored(self.value(x)), weights, self.footprint)


class PairwiseAttention(FootprintAttention):
    """Weights from comparing the centre with one position of the footprint at a time; they sum to 1 over the
    footprint (eqs. 2-3).

    Args:
        relation: delta, a name of RELATIONS.
        options: see `FootprintAttention`.
    """

    def __init__(
        self,
        channels: int,
        footprint: int = 7,
        *,
        relation: str = "subtraction",
        r1: int = 16,
        r2: int = 4,
        share: int = 8,
    ) -> None:
        super().__init__(channels, footprint, r1=r1, r2=r2, share=share)
        if relation not in RELATIONS:
            raise ValueError(f"relation must be one of {', '.join(RELATIONS)}, got {relation!r}")
        self.relation = RELATIONS[relation]
        related = self.relation.channels(self.inner) + 2
        # P; its bias cancels in the difference, the authors have it
        self.position = nn.Conv2d(2, 2, kernel_size=1)
        self.gamma = _gamma(related, self.inner, self.groups)

    def weights(self, x: Tensor) -> Tensor:
        position = self.position(coordinates(x)).expand(x.shape[0], -1, -1, -1)  # (B, 2, H, W)
        query = torch.cat([self.query(x), position], dim=1)  # (B, C / r1 + 2, H, W)
        key = torch.cat([self.key(x), position], dim=1)
        mirrored = shifts(self.mirrored(key), self.footprint)
        # (B, D, k * k, H, W)
        pairs = torch.stack([self.relation.compare(query, shift) for shift in mirrored], dim=2)
        scores = self.gamma(pairs.flatten(3))  # (B, C / r2 / share, k * k, H * W)
        return scores.softmax(dim=2).unflatten(3, x.shape[2:])


class PatchwiseAttention(FootprintAttention):
    """Weights from the whole patch at once, the concatenation of its features; they may have any sign and sum
    (eqs. 4-5).
    """

    def __init__(
        self, channels: int, footprint: int = 7, *, r1: int = 16, r2: int = 4, share: int = 8
    ) -> None:
        super().__init__(channels, footprint, r1=r1, r2=r2, share=share)
        self.gamma = _gamma(self.inner * (footprint**2 + 1), self.groups, self.groups * footprint**2)

    def weights(self, x: Tensor) -> Tensor:
        # (B, (1 + k * k) C / r1, H, W)
        patch = torch.cat([self.query(x), *shifts(self.mirrored(self.key(x)), self.footprint)], dim=1)
        return self.gamma(patch).unflatten(1, (self.groups, -1))


def _gamma(channels: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, hidden, kernel_size=1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, out, kernel_size=1),
    )


def shifts(mirrored: Tensor, window: int) -> list[Tensor]:
    """A mirrored map as each position of the window sees it, row by row: (..., H + k - 1, W + k - 1) -> k * k
    views (..., H, W).
    """
    height, width = (size - window + 1 for size in mirrored.shape[-2:])
    # once for all rows: half as many slices to export
    columns = [mirrored[..., column : column + width] for column in range(window)]
    return [shifted[..., row : row + height, :] for row in range(window) for shifted in columns]


def aggregate(values: Tensor, weights: Tensor, window: int) -> Tensor:
    """y_i = sum_{j in R(i)} a_j v_j (eq. 2), where channel c takes weights c mod G.

    Shape: values (B, C, H + k - 1, W + k - 1), weights (B, G, k * k, H, W), k being the window -> (B, C, H,
    W).
    """
    # (B, C / G, G, H + k - 1, W + k - 1)
    grouped = values.unflatten(1, (-1, weights.shape[1]))
    # One shift at a time: gathering all of them first (unfold) takes ten times as long, in PyTorch and in
    # ONNX Runtime.
    terms = (
        weight[:, None] * shift
        for weight, shift in zip(weights.unbind(dim=2), shifts(grouped, window), strict=True)
    )
    return reduce(torch.add, terms).flatten(1, 2)


def coordinates(x: Tensor) -> Tensor:
    """Column and row of each position, from -1 at the first to 1 at the last: (1, 2, H, W)."""
    height, width = x.shape[2:]
    columns, rows = (
        torch.arange(size, dtype=x.dtype, device=x.device) * (2 / max(size - 1, 1)) - 1
        for size in (width, height)
    )
    return torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)])[None]


def mirror(x: Tensor, margin: int) -> Tensor:
    """Pad by reflection, as often as it takes: (B, C, H, W) -> (B, C, H + 2 margin, W + 2 margin)."""
    height, width = x.shape[2:]
    if height > margin and width > margin:
        return F.pad(x, (margin, margin, margin, margin), mode="reflect")
    rows, columns = (_mirrored(size, margin).to(x.device) for size in (height, width))
    return x[:, :, rows][:, :, :, columns]


def _mirrored(size: int, margin: int) -> Tensor:
    """Indices -margin ... size + margin - 1, reflected into 0 ... size - 1: (size + 2 margin,)."""
    period = max(2 * (size - 1), 1)
    index = torch.arange(-margin, size + margin) % period
    return torch.minimum(index, period - index)
