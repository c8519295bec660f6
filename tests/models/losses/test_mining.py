import math

import numpy as np
import pytest
import torch
from torch import Tensor

from regard.models.losses.mining import (
    attention_mining_loss,
    attention_supervision_loss,
    erased,
    normalized,
    soft_mask,
)


def draw(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_papers_equations() -> None:
    a, images, masks, scores = draw(2, 4, 3), draw(2, 3, 4, 3) - 0.5, draw(2, 4, 3).round(), draw(2)
    t = np.empty((2, 4, 3))
    for index in np.ndindex(t.shape):
        t[index] = 1 / (1 + math.exp(-10 * (a[index].item() - 0.5)))  # eq. 4
    naive = np.empty((2, 3, 4, 3))
    for n, c, y, x in np.ndindex(naive.shape):
        naive[n, c, y, x] = images[n, c, y, x] - t[n, y, x] * images[n, c, y, x]  # eq. 3
    mask = soft_mask(a, 0.5, 10)
    np.testing.assert_allclose(mask, t, atol=1e-12)
    np.testing.assert_allclose(erased(images, mask), naive, atol=1e-12)
    assert attention_mining_loss(scores).item() == pytest.approx(
        (scores[0] + scores[1]).item() / 2, abs=1e-12
    )
    squares = [(a[index] - masks[index]).item() ** 2 for index in np.ndindex(2, 4, 3)]
    assert attention_supervision_loss(a, masks).item() == pytest.approx(sum(squares) / 24, abs=1e-12)


def test_no_mask_leaves_the_image_and_a_full_one_takes_it() -> None:
    images = draw(2, 3, 4, 3)
    assert torch.equal(erased(images, torch.zeros(2, 4, 3, dtype=torch.float64)), images)
    assert not erased(images, torch.ones(2, 4, 3, dtype=torch.float64)).any()


def test_an_infinite_sharpness_is_a_threshold() -> None:
    a = draw(2, 9, 9)
    assert torch.equal(soft_mask(a, 0.5, 1e9), (a > 0.5).double())
    gentle = soft_mask(a, 0.5, 10)
    assert ((gentle > 0.001) & (gentle < 0.999)).any()
    assert soft_mask(torch.tensor(0.5), 0.5, 10).item() == 0.5


def test_maps_are_scaled_each_by_its_own_largest_value() -> None:
    a = draw(3, 4, 3) * torch.tensor([1.0, 100.0, 0.0])[:, None, None]
    scaled = normalized(a)
    assert scaled.amax(dim=(1, 2)).tolist() == pytest.approx([1, 1, 0])
    torch.testing.assert_close(scaled[1] * a[1].max(), a[1])


def test_nothing_to_mine_costs_nothing() -> None:
    assert attention_mining_loss(torch.zeros(0)) == 0
    assert attention_supervision_loss(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4)) == 0
