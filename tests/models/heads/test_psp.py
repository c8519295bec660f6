"""Pyramid pooling against its definition, bin by bin."""

import math

import pytest
import torch
import torch.nn.functional as F

from regard.models.heads.psp import PSPHead


def binned(x, n):
    """Means of n x n bins, which overlap where n does not divide a side."""
    rows, columns = x.shape[2:]
    out = torch.zeros(*x.shape[:2], n, n, dtype=x.dtype)
    for i in range(n):
        for j in range(n):
            top, bottom = i * rows // n, math.ceil((i + 1) * rows / n)
            left, right = j * columns // n, math.ceil((j + 1) * columns / n)
            out[:, :, i, j] = x[:, :, top:bottom, left:right].mean(dim=(2, 3))
    return out


@pytest.mark.parametrize("size", [(12, 6), (7, 11), (4, 3), (1, 1)])
def test_head(randomized, draw, conv_bn_relu, size):
    head = randomized(PSPHead(8, 5))
    x = draw(2, 8, *size)
    maps = [x]
    for n, level in zip([1, 2, 3, 6], head.levels, strict=True):
        pooled = conv_bn_relu(binned(x, n), level[1])
        assert pooled.shape == (2, 2, n, n)
        maps.append(F.interpolate(pooled, size=size, mode="bilinear", align_corners=False))
    assert torch.allclose(head(x), conv_bn_relu(torch.cat(maps, dim=1), head.fuse), atol=1e-10)


@pytest.mark.parametrize("bins", [(), (0, 1), (1,) * 9])
def test_refuses_bad_bins(bins):
    with pytest.raises(ValueError, match="bins"):
        PSPHead(8, 5, bins)
