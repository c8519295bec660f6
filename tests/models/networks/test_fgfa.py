"""Causal flow-guided aggregation: what each frame weighs."""

import numpy as np
import pytest
import torch
from tests.models.networks.video import frames, session, small

from regard.errors import InvalidInput


def spy(network):
    """The weights of every step."""
    seen, compute = [], network.weights

    def weights(features, held):
        seen.append(compute(features, held))
        return seen[-1]

    network.weights = weights
    return seen


def test_identical_frames_weigh_the_same():
    network = small("fgfa", past=3)
    seen = spy(network)
    scores, states = session(network, frames(1).expand(6, -1, -1, -1))
    for i, weights in enumerate(seen):
        held = min(i, 3)
        assert (weights[:, : held + 1] - 1 / (held + 1)).abs().max() < 1e-12
        assert not weights[:, held + 1 :].any()  # nothing was seen there yet
    alone = network.segmenter(frames(1))
    assert all((each - alone).abs().max() < 1e-12 for each in scores)
    assert [state[2].item() for state in states] == [1, 2, 3, 3, 3, 3]


def test_an_unrelated_frame_weighs_least_and_the_sum_is_one():
    network = small("fgfa", past=2)
    seen = spy(network)
    same, other = frames(1), frames(1, seed=5)
    session(network, torch.cat([other, same + 0.01 * frames(1, seed=1), same]))
    weights = seen[-1]
    assert (weights.sum(dim=1) - 1).abs().max() < 1e-12
    present, near, unrelated = weights.mean(dim=(0, 2, 3))
    assert present >= near > unrelated
    assert (weights[:, 2] <= weights[:, 0]).all()


def test_the_newest_come_first_and_the_oldest_go():
    network = small("fgfa", past=2)
    video = frames(4)
    _, states = session(network, video)
    features, kept, _ = states[-1]
    assert torch.equal(kept, torch.cat([video[3:4], video[2:3]], dim=1))
    expected = torch.cat([network.segmenter.features(video[i : i + 1]) for i in (3, 2)], dim=1)
    assert (features - expected).abs().max() < 1e-12


def test_equations(randomized):
    """Weights and their sum at every position, by loops; the carried features are as they are."""
    network = randomized(small("fgfa", past=2))
    video = frames(3)
    _, states = session(network, video[:2])
    features, kept, held = states[-1]
    x = video[2:]
    with torch.no_grad():
        every = [network.segmenter.features(x), *network.carried(features, kept, x).unbind(dim=1)]
        embedded = [network.embed(each)[0].numpy() for each in every]
        stepped, *_ = network.step(x, features, kept, held)
        rows, columns = every[0].shape[2:]
        summed = np.zeros_like(every[0][0].numpy())
        for i in range(rows):
            for j in range(columns):
                own = embedded[0][:, i, j]
                cosines = [
                    e[:, i, j] @ own / np.linalg.norm(e[:, i, j]) / np.linalg.norm(own) for e in embedded
                ]
                total = sum(np.exp(cosines))
                for each, cosine in zip(every, cosines, strict=True):
                    summed[:, i, j] += np.exp(cosine) / total * each[0, :, i, j].numpy()
        expected = network.scores(torch.from_numpy(summed)[None], x)
    assert (stepped - expected).abs().max() < 1e-9 * expected.abs().max()


def test_refuses_no_past():
    with pytest.raises(InvalidInput, match=r"past.*0"):
        small("fgfa", past=0)
