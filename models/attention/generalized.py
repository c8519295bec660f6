"""Generalized attention: scores of up to four terms, of the contents of query and key and of where they lie
to each other.

Zhu et al., "An Empirical Study of Spatial Attention Mechanisms in Deep Networks", ICCV 2019, section 3.
https://arxiv.org/abs/1904.05873

    A_ij = softmax_j( E1 q_i . k_j      query and key content       "1000"
                    + E2 q_i . r_ij     query and relative position "0100"
                    + E3 u . k_j        key content only            "0010"
                    + E4 v . r_ij )     relative position only      "0001"
    y_i  = gamma * W sum_j A_ij v_j + x_i

in several heads; E1 to E4 switch the terms on and off, u and v are learned vectors. The relative position is
the sum of a part across and a part down, each a linear map of sinusoids of the distance, with wavelengths up
to 2 pi 1000:

    r_ij = (W_x s(x_i - x_j) + W_y s(y_i - y_j)) / sqrt(2)
    s(t) = [sin(t / 1000^(4 n / C)), cos(t / 1000^(4 n / C))],  n < C / 4

so that q_i . r_ij takes H W (h + w) products and not (H W)(h w). The constants, eight heads and keys at every
second row and column are those of the authors' release in mmcv and mmdetection, and gamma is 0 at first. They
put it after the 3x3 convolution of every block of res4 and res5; here it is one block late in res4, as for
the other non-local forms, to be compared with them. The paper also treats deformable and dynamic convolution
as attention; its deformable part is left out here.
"""

import math
from functools import reduce

import torch
from torch import Tensor, nn


class GeneralizedAttention(nn.Module):
    """Return gamma * W attention(x) + x, for any subset of the four terms.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W; memory grows with (H W)^2, with H W for "0010".

    Args:
        channels: C, a multiple of 4 and of the heads.
        terms: four digits, 1 for a term that counts: "1111", "0010", ...
        heads: M.
        stride: keys and values are taken at every `stride`-th row and column.
    """

    def __init__(self, channels: int, terms: str = "1111", heads: int = 8, stride: int = 2) -> None:
        super().__init__()
        if len(terms) != 4 or set(terms) - {"0", "1"} or "1" not in terms:
            raise ValueError(f"terms must be four digits, 0 or 1, and not all 0, got {terms!r}")
        if min(channels, heads) < 1 or channels % heads or channels % 4:
            raise ValueError(
                f"channels must be positive and a multiple of 4 and of heads, got {channels} and {heads}"
            )
        if stride < 1:
            raise ValueError(f"stride must be at least 1, got {stride}")
        query_key, query_position, key, position = (digit == "1" for digit in terms)
        self.heads, self.stride = heads, stride
        self.varies = terms != "0010"  # from query to query
        self.query = (
            nn.Conv2d(channels, channels, kernel_size=1, bias=False) if query_key or query_position else None
        )
        self.parts = nn.ModuleList()
        if query_key or key:
            self.parts.append(_Content(channels, heads, stride, queried=query_key, biased=key))
        if query_position or position:
            self.parts.append(_Position(channels, heads, stride, queried=query_position, biased=position))
        self.value = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        self.project = nn.Conv2d(channels, channels, kernel_size=1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each query to each key, by head: (B, M, HW, hw), or (B, M, 1, hw) where it is the same
        for all queries.
        """
        # (B, M, H, W, D)
        query = None if self.query is None else _rows(self.query(x), self.heads).unflatten(2, x.shape[2:])
        scores = reduce(torch.add, [part(x, query) for part in self.parts])
        return scores.softmax(dim=3).expand(x.shape[0], -1, -1, -1)

    def forward(self, x: Tensor) -> Tensor:
        v = _rows(self.value(x[:, :, :: self.stride, :: self.stride]), self.heads)  # (B, M, hw, D)
        y = torch.matmul(self.weights(x), v).transpose(2, 3).flatten(1, 2)  # (B, C, queries)
        y = y.unflatten(2, x.shape[2:] if self.varies else (1, 1))
        return self.gamma * self.project(y) + x


class _Part(nn.Module):
    """Two of the terms, (q_i + bias) . something, or either of q_i and the bias alone."""

    def __init__(self, channels: int, heads: int, stride: int, *, queried: bool, biased: bool) -> None:
        super().__init__()
        self.heads, self.stride, self.queried = heads, stride, queried
        self.bias = nn.Parameter(torch.empty(1, heads, 1, 1, channels // heads)) if biased else None
        if self.bias is not None:
            nn.init.uniform_(self.bias, -1, 1).data.div_(math.sqrt(2 * channels / heads))

    def left(self, query: Tensor | None) -> Tensor:
        """What is compared: (B, M, H, W, D), or (1, M, 1, 1, D) without the query."""
        if not self.queried or query is None:
            assert self.bias is not None  # one of the two terms is on
            return self.bias
        return query if self.bias is None else query + self.bias


class _Content(_Part):
    """Scores (E1 q_i + E3 u) . k_j."""

    def __init__(self, channels: int, heads: int, stride: int, *, queried: bool, biased: bool) -> None:
        super().__init__(channels, heads, stride, queried=queried, biased=biased)
        self.key = nn.Conv2d(channels, channels, kernel_size=1, bias=False)

    def forward(self, x: Tensor, query: Tensor | None) -> Tensor:
        # (B, M, D, hw)
        k = self.key(x[:, :, :: self.stride, :: self.stride]).flatten(2).unflatten(1, (self.heads, -1))
        return torch.matmul(self.left(query).flatten(2, 3), k)  # (B, M, HW or 1, hw)


class _Position(_Part):
    """Scores (E2 q_i + E4 v) . r_ij."""

    def __init__(self, channels: int, heads: int, stride: int, *, queried: bool, biased: bool) -> None:
        super().__init__(channels, heads, stride, queried=queried, biased=biased)
        self.across = nn.Linear(channels // 2, channels, bias=False)  # W_x
        self.down = nn.Linear(channels // 2, channels, bias=False)  # W_y
        self.frequencies = [1000 ** (-4 * n / channels) for n in range(channels // 4)]

    def forward(self, x: Tensor, query: Tensor | None) -> Tensor:
        height, width = x.shape[2:]
        left = self.left(query)
        # for each column W, all rows at once: (B, M, W, H, D) @ (M, W, D, w)
        # (B, M, H, W, w)
        across = torch.matmul(left.transpose(2, 3), self._relative(self.across, width, x)).transpose(2, 3)
        down = torch.matmul(left, self._relative(self.down, height, x))  # (B, M, H, W, h)
        scores = down.unsqueeze(5) + across.unsqueeze(4)  # (B, M, H, W, h, w)
        return scores.flatten(4, 5).flatten(2, 3)

    def _relative(self, linear: nn.Linear, size: int, x: Tensor) -> Tensor:
        """The part of r along one axis, of each position to each key: (M, size, D, keys)."""
        position = torch.arange(size, device=x.device, dtype=x.dtype)
        distance = position[:, None] - position[:: self.stride]
        angle = distance[:, :, None] * torch.tensor(self.frequencies, device=x.device, dtype=x.dtype)
        r = linear(torch.cat([angle.sin(), angle.cos()], dim=2)) / math.sqrt(2)  # (size, keys, C)
        return r.unflatten(2, (self.heads, -1)).permute(2, 0, 3, 1)


def _rows(embedded: Tensor, heads: int) -> Tensor:
    """(B, C, H, W) -> (B, M, HW, D)."""
    return embedded.flatten(2).unflatten(1, (heads, -1)).transpose(2, 3)
