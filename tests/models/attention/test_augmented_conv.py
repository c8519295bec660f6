"""Attention-augmented convolution against Bello et al., ICCV 2019, eqs. 1-5."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.models.attention.augmented_conv import AugmentedConv
from regard.models.catalog import build


def small(**options):
    return AugmentedConv(12, **{"heads": 2, "upsilon": 0.5, "max_size": 6, **options})


def naive_scores(module, p, x):
    """l_h(i, j) by a double loop over the positions of one image (C, H, W): (heads, HW, HW)."""
    _, rows, columns = x.shape
    q, k = (
        np.einsum("oc,chw->ohw", p[f"{n}.weight"], x).reshape(module.heads, -1, rows, columns)
        for n in ("query", "key")
    )
    depth, zero = q.shape[1], module.max_size - 1
    scores = np.empty((module.heads, rows * columns, rows * columns))
    for i in range(rows * columns):
        for j in range(rows * columns):
            (iy, ix), (jy, jx) = divmod(i, columns), divmod(j, columns)
            offset = p["column_offsets"][jx - ix + zero] + p["row_offsets"][jy - iy + zero]
            for h in range(module.heads):
                scores[h, i, j] = q[h, :, iy, ix] @ (k[h, :, jy, jx] + offset) / np.sqrt(depth)
    return scores


def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("size", [(3, 5), (6, 6), (6, 2), (1, 4), (1, 1)])
def test_relative_scores_are_those_of_the_double_loop(randomized, arrays, draw, size):
    """At any size up to the tables' the same offsets are read."""
    module = randomized(small())
    x = draw(2, 12, *size)
    weights = module.weights(x).detach().numpy()
    for b in range(2):
        assert np.abs(weights[b] - softmax(naive_scores(module, arrays(module), x[b].numpy()))).max() < 1e-12


def test_equations(randomized, arrays, draw):
    module = randomized(small())
    p = arrays(module)
    x = draw(1, 12, 4, 3)
    v = np.einsum("oc,chw->ohw", p["value.weight"], x[0].numpy()).reshape(2, 3, 12)
    heads = np.einsum("hij,hvj->hvi", softmax(naive_scores(module, p, x[0].numpy())), v).reshape(6, 4, 3)
    attended = np.einsum("oc,chw->ohw", p["project.weight"], heads)
    convolved = F.conv2d(x, module.conv.weight, padding=1)[0].detach().numpy()
    assert np.abs(module(x)[0].detach().numpy() - np.concatenate([convolved, attended])).max() < 1e-10


def test_without_offsets_it_is_convolution_and_multi_head_attention(randomized, draw):
    """PyTorch's own attention, whose keys and values have as many channels as its queries: here 2 heads of
    20.
    """
    module = randomized(AugmentedConv(80, heads=2, upsilon=0.5, kappa=0.5, max_size=5))
    nn.init.zeros_(module.row_offsets)
    nn.init.zeros_(module.column_offsets)
    x = draw(2, 80, 4, 5)
    tokens = x.flatten(2).transpose(1, 2)
    q, k, v = (
        F.linear(tokens, layer.weight[:, :, 0, 0]) for layer in (module.query, module.key, module.value)
    )
    library = nn.MultiheadAttention(40, 2, bias=False, batch_first=True).double().eval()
    with torch.no_grad():
        library.in_proj_weight.copy_(torch.eye(40).repeat(3, 1))
        library.out_proj.weight.copy_(module.project.weight[:, :, 0, 0])
        attended, weights = library(q, k, v, average_attn_weights=False)
    assert torch.allclose(module.weights(x), weights, atol=1e-12)
    expected = torch.cat([module.conv(x), attended.transpose(1, 2).unflatten(2, (4, 5))], dim=1)
    assert torch.allclose(module(x), expected, atol=1e-10)


def test_fully_attentional(randomized, draw):
    """upsilon = 1: no convolution is left, and every position reaches every other."""
    module = randomized(small(upsilon=1))
    assert not any(m.kernel_size != (1, 1) for m in module.modules() if isinstance(m, nn.Conv2d))
    x = draw(1, 12, 5, 6).requires_grad_()
    out = module(x)
    assert out.shape == x.shape
    assert torch.equal(out, module.attend(x))
    for channel in range(12):
        assert (
            torch.autograd.grad(out[0, channel, 0, 0], x, retain_graph=True)[0].abs().sum(dim=1) > 0
        ).all()


def test_the_convolution_sees_its_kernel_and_attention_the_whole_map(randomized, draw):
    module = randomized(small())
    x = draw(1, 12, 5, 6).requires_grad_()
    out = module(x)
    convolved = torch.autograd.grad(out[0, :6, 0, 0].sum(), x, retain_graph=True)[0].abs().sum(dim=(0, 1)) > 0
    assert int(convolved.sum()) == 4  # the corner's part of a 3x3 kernel
    attended = torch.autograd.grad(out[0, 6:, 0, 0].sum(), x)[0].abs().sum(dim=(0, 1)) > 0
    assert attended.all()


def relative_preference(module, x, row, column):
    """log a_ij - log a_ii for the positions i and j of a 3 x 3 window at (row, column): (heads, 9, 9)."""
    width = x.shape[3]
    window = [(row + a) * width + column + b for a in range(3) for b in range(3)]
    logs = module.weights(x)[0][:, window][:, :, window].log()
    return logs - logs.diagonal(dim1=1, dim2=2)[:, :, None]


def test_translation_equivariance(randomized, draw):
    """Within a patch that moves, what positions think of each other moves along: only offsets count. Absolute
    positions break it.
    """
    module = randomized(small())
    patch, blank = draw(1, 12, 3, 3, seed=1), draw(1, 12, 6, 6, seed=2)
    absolute = draw(1, 12, 6, 6, seed=3)
    here, there = blank.clone(), blank.clone()
    here[:, :, 0:3, 0:3] = patch
    there[:, :, 2:5, 3:6] = patch
    assert torch.allclose(
        relative_preference(module, here, 0, 0), relative_preference(module, there, 2, 3), atol=1e-10
    )
    moved = relative_preference(module, there + absolute, 2, 3)
    assert not torch.allclose(relative_preference(module, here + absolute, 0, 0), moved, atol=1e-2)


def test_offsets_tell_directions_apart(randomized, draw):
    """On a constant map contents are equal, so that the weights are the offsets' alone; without them
    attention is uniform.
    """
    module = randomized(small())
    x = draw(1, 12, 1, 1).expand(1, 12, 4, 4)
    assert not torch.allclose(module.weights(x)[0, 0, 5, 4], module.weights(x)[0, 0, 5, 6], atol=1e-3)
    nn.init.zeros_(module.row_offsets)
    nn.init.zeros_(module.column_offsets)
    assert torch.allclose(
        module.weights(x), torch.full((1, 2, 16, 16), 1 / 16, dtype=torch.float64), atol=1e-12
    )


@pytest.mark.parametrize(
    ("channels", "keys", "values"),
    # 0.2 C and 0.1 C in 8 heads: of keys at least 20 channels each, of values at least one
    [(16, 160, 8), (128, 160, 16), (256, 160, 24), (512, 160, 48), (1024, 208, 104), (2048, 408, 208)],
)
def test_widths_are_the_papers(channels, keys, values):
    with torch.device("meta"):
        module = AugmentedConv(channels)
    assert (module.query.out_channels, module.key.out_channels) == (keys, keys)
    assert module.value.out_channels == values
    assert module.conv.out_channels == channels - values


def test_parameters_of_aa_resnet50():
    """The paper's table: 25.8 million, of which ResNet-50 has 25.6."""
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in build("aa_conv_resnet50").parameters())
    assert count == 25_797_792


@pytest.mark.parametrize("size", [(7, 3), (3, 7)])
def test_refuses_maps_beyond_its_tables(draw, size):
    module = small().double()
    with pytest.raises(ValueError, match=f"at most 6 x 6.*got {size[0]} x {size[1]}"):
        module(draw(1, 12, *size))
    with pytest.raises(ValueError, match="at most 6 x 6"):
        torch.export.export(module, (draw(1, 12, *size),))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 0}, "heads must be at least 1, got 0"),
        ({"heads": 16}, "at least heads.*12 and 16"),
        ({"heads": 5, "upsilon": 1}, "multiple of heads where upsilon is 1, got 12 and 5"),
        ({"kernel_size": 2}, "kernel_size.*odd.*2"),
        ({"kappa": 0}, "kappa.*0"),
        ({"upsilon": 1.5}, "upsilon.*1.5"),
        ({"max_size": 0}, "max_size.*0"),
    ],
)
def test_refuses_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
