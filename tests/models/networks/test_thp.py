"""Adaptive key frames: what quality decides, and how key frames are joined."""

import math

import numpy as np
import pytest
import torch
from tests.models.networks.video import Counted, frames, session, small

from regard.errors import InvalidInput


def plant(network, quality):
    """Q as given at the features' size, whatever the frames."""
    propagate = network.propagate
    network.propagate = lambda *arguments: (propagate(*arguments)[0], quality)


def test_quality_without_bound_carries_everything():
    network = small("thp", tau=-math.inf)  # no Q is at most this
    counted = Counted(network)
    scores, states = session(network, frames(1).expand(5, -1, -1, -1))
    assert counted.count == 1
    assert all((each - scores[0]).abs().max() < 1e-12 for each in scores)
    assert torch.equal(states[-1][1], frames(1))


def test_no_quality_computes_every_frame():
    network = small("thp", tau=math.inf)
    counted = Counted(network)
    video = frames(4)
    _, states = session(network, video)
    assert counted.count == 4
    assert all(torch.equal(state[1], frame[None]) for state, frame in zip(states, video, strict=True))


@pytest.mark.parametrize(("stale", "is_key"), [(0, False), (1, False), (2, False), (3, True), (8, True)])
def test_key_rule_and_partial_update_on_a_planted_quality(stale, is_key):
    """8 positions and gamma of a quarter: more than two of low quality make a key frame; up to two are
    computed anew where they lie, and the key frame stays.
    """
    network = small("thp", tau=0.5, gamma=0.25)
    first, second = frames(2, size=(32, 64)).split(1)
    _, states = session(network, first)
    features, key_frame, begun = states[-1]
    assert features.shape[2:] == (2, 4)
    quality = torch.ones(1, 1, 8, dtype=torch.float64)
    quality[:, :, :stale] = 0.5  # tau itself is too low
    quality = quality.view(1, 1, 2, 4)
    plant(network, quality)
    with torch.no_grad():
        scores, kept, kept_frame, _ = network.step(second, features, key_frame, begun)
        carried, _ = network.propagate(features, key_frame, second)
        own = network.segmenter.features(second)
        expected = torch.where(quality <= 0.5, own, carried)
        if is_key:
            weights = network.weights(carried, own)
            expected = weights[:, :1] * carried + weights[:, 1:] * own
            assert (kept - expected).abs().max() < 1e-12
        else:
            assert torch.equal(kept, features)
        assert (scores - network.scores(expected, second)).abs().max() < 1e-12
    assert torch.equal(kept_frame, second if is_key else first)


def test_weights_of_a_key_frame_sum_to_one_and_match_the_equations(randomized, draw):
    network = randomized(small("thp"))
    old, new = draw(2, network.channels, 3, 5), draw(2, network.channels, 3, 5, seed=1)
    with torch.no_grad():
        weights = network.weights(old, new)
        embedded = [network.embed(each).numpy() for each in (old, new)]
    assert (weights.sum(dim=1) - 1).abs().max() < 1e-12
    for b in range(2):
        for i in range(3):
            for j in range(5):
                e, own = (each[b, :, i, j] for each in embedded)
                cosine = e @ own / np.linalg.norm(e) / np.linalg.norm(own)
                assert abs(weights[b, 0, i, j] - np.exp(cosine) / (np.exp(cosine) + np.e)) < 1e-12
    equal = network.weights(new, new)
    assert (equal - 0.5).abs().max() < 1e-12


def test_refuses_what_no_frame_can_reach():
    with pytest.raises(InvalidInput, match=r"gamma.*1\.0"):
        small("thp", gamma=1.0)
    with pytest.raises(InvalidInput, match=r"tau.*nan"):
        small("thp", tau=math.nan)
