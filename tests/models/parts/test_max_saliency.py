"""Hard saliency: one position of each channel."""

import torch

from regard.models.parts.max_saliency import MaxSaliency


def test_max_takes_the_largest_and_teaches_one_position(draw):
    x = draw(2, 3, 4, 5)
    x[0, 1, 1, 1] = x[0, 1, 3, 2] = 10  # two equals: one of them takes all
    out = MaxSaliency()(x.requires_grad_())
    assert torch.equal(out, x.amax(dim=(2, 3)))
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert ((gradient == 1).sum(dim=(2, 3)) == 1).all()
    assert gradient.sum() == 6
    assert gradient[0, 1, 1, 1] == 1
