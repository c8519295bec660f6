"""Simplified non-local and GC blocks against Cao et al., ICCV workshops 2019, and against a non-local block
and mmcv.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from regard.models.attention.global_context import GlobalContext, SimplifiedNonLocal
from regard.models.attention.non_local import EmbeddedGaussian, NonLocal

FORMS = [(pooling, fusion) for pooling in ("attention", "average") for fusion in ("add", "multiply")]


def naive_context(x, p):
    """sum_j a_j x_j of one image (C, H, W), position by position; equal weights without a key."""
    positions = [(i, j) for i in range(x.shape[1]) for j in range(x.shape[2])]
    scores = [
        float(p["key.weight"][0] @ x[:, i, j] + p["key.bias"][0]) if "key.weight" in p else 0.0
        for i, j in positions
    ]
    total = sum(math.exp(s) for s in scores)
    return sum(math.exp(s) / total * x[:, i, j] for s, (i, j) in zip(scores, positions, strict=True))


@pytest.mark.parametrize("size", [(3, 5), (1, 1)])
@pytest.mark.parametrize(("pooling", "fusion"), FORMS)
def test_global_context_equations(randomized, arrays, draw, pooling, fusion, size):
    module = randomized(GlobalContext(8, 2, pooling=pooling, fusion=fusion))
    x, p = draw(2, 8, *size), arrays(module)
    out = module(x).detach().numpy()
    for b in range(2):
        hidden = p["transform.0.weight"] @ naive_context(x[b].numpy(), p) + p["transform.0.bias"]
        normed = (hidden - hidden.mean()) / np.sqrt(hidden.var() + 1e-5)
        normed = normed * p["transform.1.weight"].reshape(-1) + p["transform.1.bias"].reshape(-1)
        change = (p["transform.3.weight"] @ np.maximum(normed, 0) + p["transform.3.bias"])[:, None, None]
        expected = x[b].numpy() + change if fusion == "add" else x[b].numpy() / (1 + np.exp(-change))
        assert np.abs(out[b] - expected).max() < 1e-10


def test_simplified_non_local_equation(randomized, arrays, draw):
    module = randomized(SimplifiedNonLocal(6))
    x, p = draw(2, 6, 3, 5), arrays(module)
    out = module(x).detach().numpy()
    for b in range(2):
        change = p["value.weight"] @ naive_context(x[b].numpy(), p) + p["value.bias"]
        assert np.abs(out[b] - (x[b].numpy() + change[:, None, None])).max() < 1e-10


class QueryIndependent(NonLocal):
    """A non-local block whose weights are the same for every query; values in full width, no norm."""

    def __init__(self, block: SimplifiedNonLocal) -> None:
        super().__init__(block.value.in_channels)
        self.block, self.inner = block, block.value.in_channels
        self.g, self.project, self.bn = block.value, nn.Identity(), nn.Identity()

    def weights(self, x):
        n = x.shape[2] * x.shape[3]
        return self.block.weights(x).flatten(2).expand(-1, n, n)  # the same row n times


def test_is_a_non_local_block_with_query_independent_weights(randomized, draw):
    block = randomized(SimplifiedNonLocal(8))
    x = draw(2, 8, 4, 5)
    # sum_j a_j W_v x_j == W_v sum_j a_j x_j
    assert torch.allclose(block(x), QueryIndependent(block)(x), atol=1e-12)


@pytest.mark.parametrize(
    "module", [SimplifiedNonLocal(8), GlobalContext(8, 2), GlobalContext(8, 2, pooling="average")]
)
def test_the_context_is_the_same_everywhere(randomized, draw, module):
    x = draw(2, 8, 4, 5)
    change = randomized(module)(x) - x
    assert torch.allclose(change, change[:, :, :1, :1].expand_as(change), atol=1e-12)


class Products(TorchDispatchMode):
    """Count the multiplications of batched matrix products; torch's own counter takes seconds to import."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.bmm.default:
            self.count += args[0].numel() * args[1].shape[2]
        return function(*args, **(kwargs or {}))


def test_costs_as_many_times_less_as_there_are_positions():
    """Pooling for one query instead of for each: the products of weights and values fall by H W."""

    def pooling(module, x):
        with Products() as products:
            module(x)
        return products.count

    x = torch.zeros(1, 32, 12, 12)
    shared, for_each = pooling(SimplifiedNonLocal(32), x), pooling(EmbeddedGaussian(32), x)
    assert shared == 144 * 32
    assert for_each == shared * 144  # scores and values, both of half width


def test_average_pooling_weighs_all_positions_equally(draw):
    module = GlobalContext(32, pooling="average").double()
    x = draw(2, 32, 3, 5)
    assert torch.allclose(
        module.weights(x), torch.full((2, 1, 3, 5), 1 / 15, dtype=torch.float64), atol=1e-15
    )
    assert torch.allclose(module.context(x), x.mean(dim=(2, 3), keepdim=True), atol=1e-14)
    assert not [name for name, _ in module.named_parameters() if name.startswith("key")]


def test_attention_weights_sum_to_one_and_survive_large_inputs(randomized, draw):
    weights = randomized(GlobalContext(32)).weights(1e4 * draw(2, 32, 3, 5))
    assert torch.isfinite(weights).all()
    assert torch.allclose(weights.sum(dim=(2, 3)), torch.ones(2, 1, dtype=torch.float64), atol=1e-12)


def test_starts_as_the_identity_or_as_a_half(draw):
    x = draw(2, 32, 5, 3)
    for module in (SimplifiedNonLocal(32), GlobalContext(32), GlobalContext(32, pooling="average")):
        assert torch.equal(module.double()(x), x)
    assert torch.equal(GlobalContext(32, fusion="multiply").double()(x), x / 2)


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="multiple of reduction.*24.*16"):
        GlobalContext(24)
    with pytest.raises(ValueError, match="at least twice.*16.*16"):
        GlobalContext(16)
    with pytest.raises(ValueError, match="pooling.*'max'"):
        GlobalContext(32, pooling="max")
    with pytest.raises(ValueError, match="fusion.*'concat'"):
        GlobalContext(32, fusion="concat")


@pytest.mark.oracles
@pytest.mark.parametrize(("pooling", "fusion"), FORMS)
def test_equals_mmcv(randomized, draw, pooling, fusion):
    bricks = pytest.importorskip("mmcv.cnn.bricks", reason="mmcv is not installed")
    module = randomized(GlobalContext(8, 2, pooling=pooling, fusion=fusion))
    theirs = bricks.ContextBlock(
        8, 1 / 2, {"attention": "att", "average": "avg"}[pooling], (f"channel_{fusion[:3]}",)
    ).double()
    names = {"key": "conv_mask", "transform": f"channel_{fusion[:3]}_conv"}
    theirs.load_state_dict(
        {
            names[name.split(".")[0]] + name[len(name.split(".")[0]) :]: value
            for name, value in module.state_dict().items()
        }
    )
    x = draw(2, 8, 4, 5)
    assert torch.allclose(module(x), theirs(x), atol=1e-12)
