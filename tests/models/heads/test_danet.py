"""DANet's head: each attention between two convolutions of its own, and their sum."""

import torch

from regard.models.attention.danet import ChannelAttention, PositionAttention
from regard.models.heads.danet import DANetHead


def test_head(randomized, draw, conv_bn_relu):
    head = randomized(DANetHead(6, 8))
    x = draw(2, 6, 5, 4)
    branches = []
    for (before, attention, after), kind in (
        (head.position, PositionAttention),
        (head.channel, ChannelAttention),
    ):
        assert isinstance(attention, kind)
        branches.append(conv_bn_relu(attention(conv_bn_relu(x, before)), after))
    assert all(
        torch.allclose(ours, oracle, atol=1e-10)
        for ours, oracle in zip(head.branches(x), branches, strict=True)
    )
    assert torch.allclose(head(x), branches[0] + branches[1], atol=1e-10)
