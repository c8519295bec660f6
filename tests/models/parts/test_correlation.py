"""Correlation against its equation, and what it finds."""

import numpy as np
import pytest
import torch

from regard.models.parts.correlation import correlation, displacements


def naive(f, g, radius):
    """One pair of maps (C, H, W): a number for each displacement and position."""
    channels, height, width = f.shape
    rows = []
    for down in range(-radius, radius + 1):
        for across in range(-radius, radius + 1):
            plane = np.zeros((height, width))
            for i in range(height):
                for j in range(width):
                    if 0 <= i + down < height and 0 <= j + across < width:
                        plane[i, j] = f[:, i, j] @ g[:, i + down, j + across] / channels
            rows.append(plane)
    return np.stack(rows)


@pytest.mark.parametrize(("size", "radius"), [((4, 6), 2), ((1, 3), 1), ((5, 1), 3), ((7, 5), 1)])
def test_equation(draw, size, radius):
    f, g = draw(2, 3, *size), draw(2, 3, *size, seed=1)
    found = correlation(f, g, radius).numpy()
    for b in range(2):
        assert np.abs(found[b] - naive(f[b].numpy(), g[b].numpy(), radius)).max() < 1e-12


@pytest.mark.parametrize("planted", [(0, 0), (2, -1), (-2, 2)])
def test_it_peaks_at_a_planted_displacement(draw, planted):
    across, down = planted
    f = torch.nn.functional.normalize(draw(1, 16, 9, 11), dim=1)
    g = f.roll((down, across), dims=(2, 3))  # what lies at p in f lies at p + d in g
    peaks = displacements(2, f)[correlation(f, g, 2).argmax(dim=1)]  # (1, H, W, 2)
    assert (peaks[:, 2:-2, 2:-2] == torch.tensor([across, down], dtype=f.dtype)).all()
