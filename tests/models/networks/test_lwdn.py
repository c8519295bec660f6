"""Locally weighted deformable neighbours: what is read, and when the memory changes."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.models.networks.video import Counted, frames, session, small

from regard.errors import InvalidInput
from regard.models.networks.lwdn import gather


def naive(x, weights, displaced):
    """One map (C, H, W): the weighted sum over neighbours, each read bilinearly where it is displaced to."""
    count, height, width = weights.shape
    side = int(count**0.5)
    out = np.zeros_like(x)
    for i in range(height):
        for j in range(width):
            for n in range(count):
                row = np.clip(i + n // side - side // 2 + displaced[2 * n + 1, i, j], 0, height - 1)
                column = np.clip(j + n % side - side // 2 + displaced[2 * n, i, j], 0, width - 1)
                for r in range(height):
                    for c in range(width):
                        kernel = max(0, 1 - abs(row - r)) * max(0, 1 - abs(column - c))
                        out[:, i, j] += weights[n, i, j] * kernel * x[:, r, c]
    return out


@pytest.mark.parametrize("side", [3, 5])
def test_equation(draw, side):
    x, weights = draw(2, 3, 4, 6), draw(2, side * side, 4, 6, seed=1)
    displaced = draw(2, 2 * side * side, 4, 6, seed=2)
    found = gather(x, weights, displaced).numpy()
    for b in range(2):
        expected = naive(x[b].numpy(), weights[b].numpy(), displaced[b].numpy())
        assert np.abs(found[b] - expected).max() < 1e-11


def test_one_weight_in_the_middle_is_the_identity_and_displaced_a_shift(draw):
    x = draw(1, 3, 5, 7)
    weights = torch.zeros(1, 9, 5, 7, dtype=x.dtype)
    weights[:, 4] = 1
    displaced = torch.zeros(1, 18, 5, 7, dtype=x.dtype)
    assert (gather(x, weights, displaced) - x).abs().max() < 1e-13
    right = weights.roll(1, dims=1)  # the neighbour there
    assert (gather(x, right, displaced)[..., :-1] - x[..., 1:]).abs().max() < 1e-13
    displaced[:, 8] = 1  # the middle's, to the right
    assert (gather(x, weights, displaced)[..., :-1] - x[..., 1:]).abs().max() < 1e-13


def test_correlation_sees_a_planted_displacement():
    network = small("lwdn", radius=2)
    low = torch.nn.functional.normalize(
        torch.randn(1, 32, 6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=1
    )
    seen = network.compare(low, low.roll((1, -2), dims=(2, 3)))[:, :25]
    assert (seen.argmax(dim=1)[:, 1:-1, 2:-2] == 5 * (2 + 1) + (2 - 2)).all()  # a row down, two to the left


def test_the_memory_changes_on_key_frames_alone():
    network = small("lwdn", interval=3)
    counted = Counted(network)
    _, states = session(network, frames(8))
    assert counted.count == 3
    for before, after in pairwise(states):
        is_key = after[2].item() == 1
        assert torch.equal(after[0], before[0]) is not is_key
        assert torch.equal(after[1], before[1]) is not is_key
    assert torch.equal(states[0][0], network.segmenter.features(frames(8)[:1]))  # the first is taken whole


def test_a_key_frame_joins_the_memory_with_its_features(randomized):
    """And reads the memory at displaced places, where a frame between reads it undisplaced."""
    network = randomized(small("lwdn", interval=2))
    video = frames(3)
    scores, states = session(network, video)
    memory, key_low, _ = states[1]
    with torch.no_grad():
        low = network.low_level(video[2:])
        seen = network.compare(low, key_low)
        weights = network.score(seen).softmax(dim=1)
        assert (weights.sum(dim=1) - 1).abs().max() < 1e-12
        own = network.segmenter.features(video[2:])
        old = torch.from_numpy(
            naive(memory[0].numpy(), weights[0].numpy(), network.displace(seen)[0].numpy())
        )[None]
        gate = network.gate.weight[0, :, 0, 0]
        split = len(gate) // 2
        logit = (gate[:split, None, None] * old[0]).sum(0) + (gate[split:, None, None] * own[0]).sum(0)
        a = 1 / (1 + (-(logit + network.gate.bias)).exp())
        assert (states[2][0] - (a * old + (1 - a) * own)).abs().max() < 1e-10 * own.abs().max()
        seen = network.compare(network.low_level(video[1:2]), states[0][1])
        still = torch.zeros_like(network.displace(seen))
        between = gather(states[0][0], network.score(seen).softmax(dim=1), still)
        assert torch.equal(scores[1], network.scores(between, video[1:2]))


def test_it_begins_near_the_identity():
    network = small("lwdn", radius=1)
    weights = network.score(torch.zeros(1, 9 + 32, 3, 4, dtype=torch.float64)).softmax(dim=1)
    assert (weights[:, 4] > 0.85).all()


def test_refuses_no_neighbours():
    with pytest.raises(InvalidInput, match=r"radius.*0"):
        small("lwdn", radius=0)
