"""EANet's head: external attention between two convolutions."""

import pytest
import torch

from regard.models.attention.external import ExternalAttention
from regard.models.heads.external import ExternalAttentionHead


def test_head(randomized, draw, conv_bn_relu):
    head = randomized(ExternalAttentionHead(6, 4, slots=5))
    assert isinstance(head.attention, ExternalAttention)
    x = draw(2, 6, 5, 3)
    h = conv_bn_relu(x, head.reduce)
    assert h.shape[1] == 8
    assert head.attention.weights(h).shape == (2, 5, 15)
    assert torch.allclose(head(x), conv_bn_relu(head.attention(h), head.expand), atol=1e-10)


def test_slots_default_to_the_papers():
    assert ExternalAttentionHead(6, 4).attention.memory_key.out_channels == 64


def test_refuses_no_slots():
    with pytest.raises(ValueError, match="slots"):
        ExternalAttentionHead(6, 4, slots=0)
