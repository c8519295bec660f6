"""CGNL and CGNLx against Yue et al., NeurIPS 2018: the (CHW)^2 matrix, formed."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from regard.models.attention.cgnl import CGNL, CGNLx


def taylor(order, gamma):
    """The kernel of CGNLx between two arrays of entries: exp(2 gamma t p - 2 gamma), cut off."""
    return lambda t, p: (
        math.exp(-2 * gamma) * sum((2 * gamma * t * p) ** n / math.factorial(n) for n in range(order + 1))
    )


def naive_block(x, p, groups, kernel):
    """One image (C, H, W): each group's full matrix over its entries, then the grouped convolution and
    norm.
    """
    channels, rows, columns = x.shape
    t, phi, g = (np.einsum("oc,chw->ohw", p[f"{name}.weight"], x) for name in ("theta", "phi", "g"))
    inner, outer = channels // 2 // groups, channels // groups
    out = np.empty_like(x)
    for group in range(groups):
        mine = slice(group * inner, (group + 1) * inner)
        matrix = kernel(t[mine].reshape(-1, 1), phi[mine].reshape(1, -1))  # (CHW, CHW)
        y = (matrix @ g[mine].reshape(-1)).reshape(inner, rows, columns)
        theirs = slice(group * outer, (group + 1) * outer)
        z = np.einsum("oc,chw->ohw", p["project.weight"][theirs], y)
        z = (z - z.mean()) / np.sqrt(z.var() + 1e-5)
        out[theirs] = (
            p["norm.weight"][theirs, None, None] * z + p["norm.bias"][theirs, None, None] + x[theirs]
        )
    return out


@pytest.mark.parametrize("size", [(3, 4), (5, 1), (1, 1)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_dot_is_the_full_matrix(randomized, arrays, draw, size, groups):
    module = randomized(CGNL(16, groups))
    x = draw(2, 16, *size)
    out = module(x).detach().numpy()
    for b in range(2):
        expected = naive_block(x[b].numpy(), arrays(module), groups, lambda t, p: t * p)
        assert np.abs(out[b] - expected).max() < 1e-10


@pytest.mark.parametrize(("order", "gamma"), [(1, 1e-4), (2, 0.3), (3, 1e-4), (3, 0.1), (5, 0.2)])
@pytest.mark.parametrize("size", [(3, 4), (1, 2)])
def test_rbf_is_the_full_matrix_of_the_expansion(randomized, arrays, draw, order, gamma, size):
    module = randomized(CGNLx(16, 4, order, gamma))
    x = draw(2, 16, *size)
    out = module(x).detach().numpy()
    for b in range(2):
        assert (
            np.abs(out[b] - naive_block(x[b].numpy(), arrays(module), 4, taylor(order, gamma))).max() < 1e-8
        )


def test_taylor_error_falls_with_each_order(randomized, draw):
    """Against beta exp(2 gamma t p) itself: each order gains more than a factor of ten."""
    x, gamma, errors = draw(1, 16, 3, 4), 1e-3, []
    for order in range(1, 5):
        module = randomized(CGNLx(16, 2, order, gamma))
        # (1, groups, entries)
        theta, phi, g = (module.grouped(conv(x)) for conv in (module.theta, module.phi, module.g))
        exact = torch.exp(2 * gamma * theta[..., :, None] * phi[..., None, :] - 2 * gamma) @ g[..., None]
        errors.append((module.respond(theta, module.weights(x)) - exact[..., 0]).abs().max().item())
    assert all(later < 0.1 * earlier for earlier, later in pairwise(errors))
    assert errors[-1] < 1e-6


@pytest.mark.parametrize("build", [CGNL, CGNLx])
def test_groups_are_independent_blocks(randomized, draw, build):
    """Group by group: what a block with that group's embeddings alone answers."""
    whole = randomized(build(16, 4))
    x = draw(2, 16, 3, 4)
    apart = []
    for i in range(4):
        alone = build(16, 8).double()
        alone.groups = 1
        for name in ("theta", "phi", "g"):
            part = nn.Conv2d(16, 2, 1, bias=False).double()
            part.weight.data = getattr(whole, name).weight.data[2 * i : 2 * i + 2]
            setattr(alone, name, part)
        apart.append(alone.respond(alone.grouped(alone.theta(x)), alone.weights(x)))
    together = whole.respond(whole.grouped(whole.theta(x)), whole.weights(x))
    assert torch.allclose(together, torch.cat(apart, dim=1), atol=1e-10)


@pytest.mark.parametrize("build", [CGNL, CGNLx])
def test_every_entry_reaches_its_whole_group(randomized, draw, build):
    """The response at one channel of one position depends on every position, through every channel of its
    group and of no other.
    """
    module = randomized(build(16, 2))
    for embedding in (module.theta, module.phi, module.g):
        embedding.weight.data = torch.eye(16, dtype=torch.float64)[:8, :, None, None]
    x = draw(1, 16, 3, 4).requires_grad_()
    y = module.respond(module.grouped(module.theta(x)), module.weights(x))
    # entry 0 of group 0, which embeds channels 0 to 3 of x
    gradient = torch.autograd.grad(y[0, 0, 0], x)[0][0]
    assert (gradient[:4] != 0).all()
    assert (gradient[4:] == 0).all()


@pytest.mark.parametrize("build", [CGNL, CGNLx])
def test_starts_as_the_identity(draw, build):
    x = draw(2, 16, 5, 3)
    assert torch.equal(build(16).double()(x), x)


def test_parameters_are_those_of_the_paper():
    """In res4 of ResNet-50: three embeddings of 1024 to 512, a grouped convolution back, a norm."""
    for build in (CGNL, CGNLx):
        assert sum(p.numel() for p in build(1024).parameters()) == 3 * 1024 * 512 + 1024 * 512 // 8 + 2 * 1024


@pytest.mark.parametrize("channels", [24, 8])
def test_refuses_channels_that_do_not_divide(channels):
    with pytest.raises(ValueError, match=f"twice the groups.*{channels}.*8"):
        CGNL(channels)


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="order.*0"):
        CGNLx(16, order=0)
    with pytest.raises(ValueError, match="gamma.*nan"):
        CGNLx(16, gamma=math.nan)
    with pytest.raises(ValueError, match="groups"):
        CGNL(16, groups=0)
