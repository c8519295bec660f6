"""CCNet's head: criss-cross attention between two convolutions, fused with its input."""

import pytest
import torch

from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.heads.ccnet import CCNetHead


@pytest.mark.parametrize("recurrence", [1, 2])
def test_head(randomized, draw, conv_bn_relu, recurrence):
    head = randomized(CCNetHead(6, 8, recurrence))
    alone = CrissCrossAttention(8, recurrence=1).double()
    alone.load_state_dict(head.attention.state_dict())
    x = draw(2, 6, 5, 4)
    attended = conv_bn_relu(x, head.reduce)
    for _ in range(recurrence):
        attended = alone(attended)
    both = torch.cat([x, conv_bn_relu(attended, head.expand)], dim=1)
    assert torch.allclose(head(x), conv_bn_relu(both, head.fuse), atol=1e-10)
