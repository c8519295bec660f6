"""DRAW's selective attention: a grid of Gaussian filters that reads a patch of an image, of any place and
size, and writes one.

Gregor, Danihelka, Graves, Rezende & Wierstra, "DRAW: A Recurrent Neural Network For Image Generation", ICML
2015, section 3.2, eqs. 19-29. https://arxiv.org/abs/1502.04623

    (g~_X, g~_Y, log s^2, log d~, log gamma) = W h
    g_X   = (A + 1) / 2 (g~_X + 1),   g_Y = (B + 1) / 2 (g~_Y + 1),   d = (max(A, B) - 1) / (N - 1) d~
    mu^i  = g + (i - N / 2 - 0.5) d                                   i = 1..N
    F[i, a] = 1 / Z_i exp(-(a - mu^i)^2 / (2 s^2)),  sum_a F[i, a] = 1    a = 1..A across, 1..B down
    read(x)  = gamma F_Y x F_X^T
    write(w) = 1 / gamma F_Y^T w F_X

The image is B rows of A columns, and pixels are counted from 1: pixel a covers [a - 0.5, a + 0.5].
"""

from typing import NamedTuple

import torch
from torch import Tensor

NUMBERS = 5  # that a grid is made of


class Filterbank(NamedTuple):
    """The filters of a batch, each with its grid.

    Attributes:
        across: F_X, (B, N, A).
        down: F_Y, (B, N, B).
        gamma: intensity, (B, 1, 1).
        window: what the grid covers, as fractions left, top, right, bottom of the image, (B, 4): half a
            stride beyond its outermost centres.
    """

    across: Tensor
    down: Tensor
    gamma: Tensor
    window: Tensor

    def read(self, x: Tensor) -> Tensor:
        """The patch: (B, C, B, A) -> (B, C, N, N)."""
        patch = self.down.unsqueeze(1) @ x @ self.across.unsqueeze(1).transpose(2, 3)
        return self.gamma.unsqueeze(1) * patch

    def write(self, patch: Tensor) -> Tensor:
        """The image that a patch makes: (B, C, N, N) -> (B, C, B, A)."""
        image = self.down.unsqueeze(1).transpose(2, 3) @ patch @ self.across.unsqueeze(1)
        return image / self.gamma.unsqueeze(1)


def filterbank(numbers: Tensor, size: int, *, width: int, height: int) -> Filterbank:
    """The filters of W h: (B, 5).

    Args:
        numbers: g~_X, g~_Y, log s^2, log d~ and log gamma.
        size: N, at least 2.
        width: A.
        height: B.
    """
    centre_x, centre_y, log_variance, log_stride, log_gamma = numbers.split(1, dim=1)  # (B, 1)
    stride = (max(width, height) - 1) / (size - 1) * log_stride.exp()
    steps = torch.arange(1, size + 1, device=numbers.device) - size / 2 - 0.5
    columns = (width + 1) / 2 * (centre_x + 1) + steps * stride  # (B, N)
    rows = (height + 1) / 2 * (centre_y + 1) + steps * stride
    half = stride / 2
    window = torch.cat(
        [
            (columns[:, :1] - half - 0.5) / width,
            (rows[:, :1] - half - 0.5) / height,
            (columns[:, -1:] + half - 0.5) / width,
            (rows[:, -1:] + half - 0.5) / height,
        ],
        dim=1,
    )
    variance = log_variance.exp()
    return Filterbank(
        _filters(columns, variance, width),
        _filters(rows, variance, height),
        log_gamma.exp().unsqueeze(2),
        window,
    )


def _filters(centres: Tensor, variance: Tensor, length: int) -> Tensor:
    """F: (B, N), (B, 1) -> (B, N, length). As a softmax it is normalized wherever the centre lies, far
    outside the image too.
    """
    pixels = torch.arange(1, length + 1, device=centres.device)
    distance = (pixels - centres.unsqueeze(2)).square()
    return (-distance / (2 * variance.unsqueeze(2))).softmax(dim=2)
