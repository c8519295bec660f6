"""The non-local head: an embedded-Gaussian block between two convolutions."""

import pytest
import torch

from regard.models.attention.non_local import EmbeddedGaussian
from regard.models.heads.non_local import NonLocalHead


@pytest.mark.parametrize("subsample", [1, 2])
def test_head(randomized, draw, conv_bn_relu, subsample):
    head = randomized(NonLocalHead(6, 8, subsample))
    assert isinstance(head.attention, EmbeddedGaussian)
    x = draw(2, 6, 5, 4)
    h = conv_bn_relu(x, head.reduce)
    assert head.attention.weights(h).shape == (2, 20, (5 // subsample) * (4 // subsample))
    both = torch.cat([x, conv_bn_relu(head.attention(h), head.expand)], dim=1)
    assert torch.allclose(head(x), conv_bn_relu(both, head.fuse), atol=1e-10)


def test_a_position_sees_all_others(randomized, draw):
    head = randomized(NonLocalHead(6, 8))
    x = draw(1, 6, 9, 11).requires_grad_()
    support = torch.autograd.grad(head.attended(x)[0, :, 0, 0].pow(2).sum(), x)[0].abs().sum(dim=(0, 1)) > 0
    assert support.all()
    near = torch.autograd.grad(head.reduce(x)[0, :, 0, 0].pow(2).sum(), x)[0].abs().sum(dim=(0, 1)) > 0
    assert int(near.sum()) == 4  # without the block, its corner of a 3x3 window


def test_starts_as_two_convolutions(draw, conv_bn_relu):
    head = NonLocalHead(6, 8).double().eval()
    x = draw(1, 6, 4, 4)
    assert torch.allclose(head.attended(x), conv_bn_relu(x, head.reduce), atol=1e-12)


def test_refuses_an_odd_inner():
    with pytest.raises(ValueError, match="even, got 7"):
        NonLocalHead(6, 7)
