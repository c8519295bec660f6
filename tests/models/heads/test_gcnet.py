"""GCNet's head: one context for all positions between two convolutions."""

import pytest
import torch

from regard.models.attention.global_context import GlobalContext
from regard.models.heads.gcnet import GCNetHead


def test_head(randomized, draw, conv_bn_relu):
    head = randomized(GCNetHead(6, 8))
    assert isinstance(head.attention, GlobalContext)
    x = draw(2, 6, 5, 4)
    attended = head.attention(conv_bn_relu(x, head.reduce))
    both = torch.cat([x, conv_bn_relu(attended, head.expand)], dim=1)
    assert torch.allclose(head(x), conv_bn_relu(both, head.fuse), atol=1e-10)


def test_context_is_the_same_everywhere(randomized, draw):
    head = randomized(GCNetHead(6, 8))
    x = draw(2, 6, 5, 4)
    added = head.attended(x) - head.reduce(x)
    assert torch.allclose(added, added[:, :, :1, :1].expand_as(added), atol=1e-10)
    assert added.abs().max() > 1e-3


@pytest.mark.parametrize(("reduction", "inner"), [(4, 8), (2, 8)])
def test_reduction(reduction, inner):
    head = GCNetHead(6, inner, reduction=reduction)
    assert head.attention.transform[0].out_channels == inner // reduction


def test_refuses_an_inner_that_the_reduction_does_not_divide():
    with pytest.raises(ValueError, match="multiple of reduction"):
        GCNetHead(6, 10)
