"""DRAW's filters: their equations, and what reading and writing are in the limit."""

import math

import numpy as np
import pytest
import torch

from regard.models.parts.filterbank import filterbank


def numbers(x: float, y: float, deviation: float, stride: float, gamma: float) -> torch.Tensor:
    row = [x, y, 2 * math.log(deviation), math.log(stride), math.log(gamma)]
    return torch.tensor([row], dtype=torch.float64)


def naive(row: np.ndarray, size: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Eqs. 21 to 26 with loops that count from 1: F_X (N, A) and F_Y (N, B)."""
    stride = (max(width, height) - 1) / (size - 1) * np.exp(row[3])
    banks = []
    for centre, length in ((row[0], width), (row[1], height)):
        g = (length + 1) / 2 * (centre + 1)
        bank = np.zeros((size, length))
        for i in range(1, size + 1):
            mu = g + (i - size / 2 - 0.5) * stride
            for a in range(1, length + 1):
                bank[i - 1, a - 1] = np.exp(-((a - mu) ** 2) / (2 * np.exp(row[2])))
            bank[i - 1] /= bank[i - 1].sum()
        banks.append(bank)
    return banks[0], banks[1]


@pytest.mark.parametrize("size", [2, 5])
def test_is_the_papers_equations(size, draw):
    rows, x = draw(4, 5) / 2, draw(4, 2, 9, 13, seed=1)
    bank = filterbank(rows, size, width=13, height=9)
    for index, row in enumerate(rows.numpy()):
        across, down = naive(row, size, 13, 9)
        assert np.abs(bank.across[index].numpy() - across).max() < 1e-12
        assert np.abs(bank.down[index].numpy() - down).max() < 1e-12
        for channel in range(2):
            expected = np.exp(row[4]) * down @ x[index, channel].numpy() @ across.T
            assert np.abs(bank.read(x)[index, channel].numpy() - expected).max() < 1e-12
    patch = draw(4, 2, size, size, seed=2)
    expected = torch.einsum("bia,bcij,bjd->bcad", bank.down, patch, bank.across) / bank.gamma.unsqueeze(1)
    assert (bank.write(patch) - expected).abs().max() < 1e-12


def test_rows_sum_to_one_wherever_the_window_is():
    far = torch.tensor([[5.0, -7.0, -8.0, 0.0, 0.0]])
    bank = filterbank(far, 4, width=10, height=6)
    assert torch.allclose(bank.across.sum(dim=2), torch.ones(1, 4))
    assert torch.allclose(bank.down.sum(dim=2), torch.ones(1, 4))


@pytest.mark.parametrize(("left", "top"), [(0, 0), (3, 2), (8, 4)])
def test_sharp_filters_of_stride_one_read_the_slice(left, top, draw):
    """4 x 4 of 9 rows of 12 columns; and the window is that slice's."""
    x = draw(1, 2, 9, 12)
    # g is the middle of pixels left + 1 to left + 4, counted from 1
    centre_x, centre_y = (left + 2.5) * 2 / 13 - 1, (top + 2.5) * 2 / 10 - 1
    bank = filterbank(numbers(centre_x, centre_y, 1e-3, 3 / 11, 1), 4, width=12, height=9)
    assert (bank.read(x) - x[:, :, top : top + 4, left : left + 4]).abs().max() < 1e-12
    expected = torch.tensor([[left / 12, top / 9, (left + 4) / 12, (top + 4) / 9]], dtype=torch.float64)
    assert (bank.window - expected).abs().max() < 1e-12


def test_writing_is_the_adjoint_of_reading(draw):
    """<read(x), w> = gamma^2 <x, write(w)>."""
    rows, x, patch = draw(3, 5), draw(3, 1, 8, 8, seed=1), draw(3, 1, 5, 5, seed=2)
    bank = filterbank(rows, 5, width=8, height=8)
    read, written = (bank.read(x) * patch).sum(dim=(1, 2, 3)), (x * bank.write(patch)).sum(dim=(1, 2, 3))
    assert torch.allclose(read, bank.gamma[:, 0, 0] ** 2 * written, atol=1e-12)


def test_gradients_reach_every_number(draw):
    rows = (draw(2, 5) / 2).requires_grad_()
    filterbank(rows, 3, width=8, height=8).read(draw(2, 1, 8, 8, seed=1)).square().sum().backward()
    assert (rows.grad.abs() > 0).all()
