"""Object context against Yuan et al., OCNet, section 3, with its pyramid form as masked attention."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from regard.models.attention.object_context import (
    ObjectContext,
    ObjectContextPooling,
    TiledObjectContextPooling,
)

# multiples of the tiles, remainders, and maps smaller than them
SIZES = [(7, 5), (6, 6), (13, 8), (4, 5), (2, 9), (1, 1)]


def dense(x, p, name):
    """A 1x1 convolution of (C, H, W)."""
    return np.einsum("oc,chw->ohw", p[f"{name}.weight"], x) + p[f"{name}.bias"][:, None, None]


def normalized(x, p, name):
    """BatchNorm of (C, H, W) with the stored statistics, and ReLU."""
    mean, var, scale, shift = (
        p[f"{name}.{leaf}"][:, None, None] for leaf in ("running_mean", "running_var", "weight", "bias")
    )
    return np.maximum(0, (x - mean) / np.sqrt(var + 1e-5) * scale + shift)


def tile_of(position, side, tiles):
    """Which tile a position is in: all of side // tiles positions but the last, which takes the rest."""
    return min(position // (side // tiles), tiles - 1) if side >= tiles else tiles - 1


def naive_context(x, p, tiles=1):
    """W sum_j w_ij W_v x_j over the j in the tile of i, of one map (C, H, W)."""
    _, rows, columns = x.shape
    k, v = normalized(dense(x, p, "key.0"), p, "key.1"), dense(x, p, "value")
    places = [(i, j) for i in range(rows) for j in range(columns)]
    attended = np.zeros_like(v)
    for i, j in places:
        home = tile_of(i, rows, tiles), tile_of(j, columns, tiles)
        seen = [(r, c) for r, c in places if (tile_of(r, rows, tiles), tile_of(c, columns, tiles)) == home]
        scores = np.array([k[:, i, j] @ k[:, r, c] / np.sqrt(len(k)) for r, c in seen])
        weights = np.exp(scores - scores.max())
        attended[:, i, j] = sum(
            w / weights.sum() * v[:, r, c] for w, (r, c) in zip(weights, seen, strict=True)
        )
    return dense(attended, p, "project")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value_channels", [None, 8])
def test_context(randomized, arrays, draw, size, value_channels):
    module = randomized(ObjectContextPooling(8, value_channels=value_channels))
    assert module.value.out_channels == (value_channels or 4)
    x = draw(2, 8, *size)
    out = module(x).detach().numpy()
    for b in range(2):
        assert np.abs(out[b] - naive_context(x[b].numpy(), arrays(module))).max() < 1e-10


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tiles", [1, 2, 3, 6])
def test_tiles_are_attention_masked_to_blocks(randomized, arrays, draw, size, tiles):
    module = randomized(TiledObjectContextPooling(8, tiles, value_channels=8))
    x = draw(2, 8, *size)
    out = module(x).detach().numpy()
    for b in range(2):
        assert np.abs(out[b] - naive_context(x[b].numpy(), arrays(module), tiles)).max() < 1e-10


def test_one_tile_is_the_whole_map(randomized, draw):
    plain, tiled = randomized(ObjectContextPooling(8)), randomized(TiledObjectContextPooling(8, 1))
    tiled.load_state_dict(plain.state_dict())
    x = draw(2, 8, 6, 5)
    assert torch.allclose(plain(x), tiled(x), atol=1e-12)
    assert torch.allclose(plain.weights(x), tiled.weights(x)[:, 0], atol=1e-12)


def test_information_stays_in_its_tile(randomized, draw):
    module = randomized(TiledObjectContextPooling(8, 3))
    x = draw(1, 8, 7, 11).requires_grad_()  # rows 0-1, 2-3, 4-6; columns 0-2, 3-5, 6-10
    support = torch.autograd.grad(module(x)[0, :, 5, 4].pow(2).sum(), x)[0].abs().sum(dim=(0, 1)) > 0
    expected = torch.zeros(7, 11, dtype=torch.bool)
    expected[4:7, 3:6] = True
    assert torch.equal(support, expected)


def test_weights_of_tiles(randomized, draw):
    """Rows sum to 1, and what fills a smaller tile weighs nothing: of 7 rows in 3 tiles the first have 2, the
    last 3.
    """
    weights = randomized(TiledObjectContextPooling(8, 3)).weights(draw(2, 8, 7, 3))
    assert weights.shape == (2, 9, 3, 3)
    assert torch.allclose(weights.sum(dim=3), torch.ones(2, 9, 3, dtype=torch.float64), atol=1e-12)
    assert (weights[:, :6, :, 2] == 0).all()
    assert (weights[:, 6:] > 0).all()


def cycles(weights):
    """w_01 w_12 w_20 and w_02 w_21 w_10, equal where the scores before the softmax are symmetric, whatever
    its sums.
    """
    return weights[:, 0, 1] * weights[:, 1, 2] * weights[:, 2, 0], weights[:, 0, 2] * weights[
        :, 2, 1
    ] * weights[:, 1, 0]


def test_similarity_is_symmetric(randomized, draw):
    module = randomized(ObjectContextPooling(8))
    one, other = cycles(module.weights(draw(2, 8, 3, 4)))
    assert torch.allclose(one, other, rtol=1e-10)
    separate = torch.randn(
        2, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).softmax(dim=2)
    assert not torch.allclose(*cycles(separate), rtol=1e-3)  # the check can fail


@pytest.mark.parametrize("size", [(6, 4), (7, 5), (1, 1)])
def test_pooling_attends_on_a_smaller_map(randomized, draw, size):
    pooled, plain = randomized(ObjectContextPooling(8, pool=2)), randomized(ObjectContextPooling(8))
    x = draw(2, 8, *size)
    height, width = (-(-side // 2) for side in size)
    small = torch.stack(
        [
            x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].amax(dim=(2, 3))
            for i in range(height)
            for j in range(width)
        ],
        2,
    )
    small = small.view(2, 8, height, width)
    assert pooled.weights(pooled.pool(x)).shape == (2, height * width, height * width)
    assert torch.allclose(
        pooled(x), F.interpolate(plain(small), size=size, mode="bilinear", align_corners=False), atol=1e-12
    )


def test_base_form_fuses_context_and_features(randomized, arrays, draw):
    module = randomized(ObjectContext(8))
    x, p = draw(1, 8, 4, 3), arrays(module)
    both = np.concatenate([naive_context(x[0].numpy(), p), x[0].numpy()])
    assert (
        np.abs(module(x)[0].detach().numpy() - normalized(dense(both, p, "fuse.0"), p, "fuse.1")).max()
        < 1e-10
    )


def test_context_starts_at_zero(draw):
    for module in (ObjectContextPooling(8), TiledObjectContextPooling(8, 2)):
        assert (module.double()(draw(2, 8, 5, 3)) == 0).all()


def test_tiles_export_with_dynamic_size(randomized, draw):
    module = randomized(TiledObjectContextPooling(8, 6))
    dynamic = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        module, (draw(2, 8, 14, 19),), dynamic_shapes=({0: dynamic, 2: dynamic, 3: dynamic},)
    ).module()
    for size in [(14, 19), (12, 12), (5, 31), (4, 3)]:
        x = draw(3, 8, *size)
        assert torch.allclose(program(x), module(x), atol=1e-12)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ObjectContextPooling(7), "even, got 7"),
        (lambda: ObjectContextPooling(0), "even, got 0"),
        (lambda: ObjectContextPooling(8, value_channels=0), "value_channels.*0"),
        (lambda: ObjectContextPooling(8, pool=0), "pool.*0"),
        (lambda: TiledObjectContextPooling(8, 0), "tiles.*0"),
    ],
)
def test_refuses_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
