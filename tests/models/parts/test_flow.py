"""The flow network: nothing seen untrained, and any size."""

import pytest
import torch

from regard.models.parts.flow import HIDDEN, FlowNetwork


@pytest.mark.parametrize("size", [(64, 96), (33, 50), (8, 8), (1, 1)])
@pytest.mark.parametrize("levels", [1, 3])
def test_untrained_it_sees_no_motion(levels, size):
    motion = FlowNetwork(levels)(torch.randn(2, 3, *size), torch.randn(2, 3, *size))
    rows, columns = (-(-side // 8) for side in size)
    assert not motion.flow.any()
    assert motion.hidden.shape == (2, HIDDEN, rows, columns)


def test_every_level_goes_on_from_the_coarser_one(randomized, draw):
    network = randomized(FlowNetwork())
    frame, key = draw(1, 3, 64, 96), draw(1, 3, 64, 96, seed=1)
    found = network.coarse_to_fine(frame, key)
    assert [motion.flow.shape[2:] for motion in found] == [(2, 3), (4, 6), (8, 12)]
    assert torch.equal(network(frame, key).flow, found[-1].flow)


def test_refuses_levels_that_it_has_not():
    with pytest.raises(ValueError, match=r"levels.*1 to 3.*4"):
        FlowNetwork(4)
