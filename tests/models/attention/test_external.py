"""External attention against Guo et al., 2021, eqs. 5-9."""

import math

import numpy as np
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from regard.models.attention.external import (
    ExternalAttention,
    MultiHeadExternalAttention,
    TokenExternalAttention,
    normalize_twice,
)
from regard.models.attention.self_attention import SelfAttention


def naive_weights(scores):
    """a of scores (N, S), by loops."""
    positions, slots = scores.shape
    shares = np.empty_like(scores)
    for s in range(slots):
        total = sum(math.exp(scores[n, s]) for n in range(positions))
        for n in range(positions):
            shares[n, s] = math.exp(scores[n, s]) / total
    assert np.allclose(shares.sum(axis=0), 1)
    return np.stack([row / sum(row) for row in shares])


@pytest.mark.parametrize("size", [(3, 4), (5, 1), (1, 1)])
def test_single_head_equations(randomized, arrays, draw, size):
    module = randomized(ExternalAttention(8, slots=5))
    x, p = draw(2, 8, *size), arrays(module)
    key, value = p["memory_key.weight"][:, :, 0], p["memory_value.weight"][:, :, 0]
    out = module(x).detach().flatten(2).transpose(1, 2).numpy()
    for b in range(2):
        tokens = x[b].flatten(1).T.numpy()
        f = tokens @ p["enter.weight"].T + p["enter.bias"]
        read = naive_weights(f @ key.T) @ value.T @ p["project.weight"].T
        scale = p["bn.weight"] / np.sqrt(p["bn.running_var"] + module.bn.eps)
        expected = tokens + (read - p["bn.running_mean"]) * scale + p["bn.bias"]
        assert np.abs(out[b] - np.maximum(expected, 0)).max() < 1e-6  # the authors' 1e-9 beside the sum


def naive_multi_head(p, tokens, heads, expansion):
    entered = tokens @ p["enter.weight"].T + p["enter.bias"]
    parts = np.split(entered, heads * expansion, axis=1)
    # the memories are shared
    weights = [naive_weights(part @ p["memory_key.weight"].T + p["memory_key.bias"]) for part in parts]
    joined = np.concatenate(
        [w @ p["memory_value.weight"].T + p["memory_value.bias"] for w in weights], axis=1
    )
    return joined @ p["project.weight"].T + p["project.bias"]


@pytest.mark.parametrize(("heads", "expansion"), [(1, 1), (2, 1), (2, 4), (8, 2)])
def test_multi_head_equations(randomized, arrays, draw, heads, expansion):
    tokens, x = randomized(TokenExternalAttention(8, heads, expansion, slots=5)), draw(2, 8, 3, 4)
    on_map = MultiHeadExternalAttention(8, heads, expansion, slots=5).double()
    on_map.load_state_dict(tokens.state_dict())
    sequence = x.flatten(2).transpose(1, 2)
    out = tokens(sequence).detach()
    for b in range(2):
        assert (
            np.abs(
                out[b].numpy() - naive_multi_head(arrays(tokens), sequence[b].numpy(), heads, expansion)
            ).max()
            < 1e-6
        )
    assert torch.allclose((on_map(x) - x).flatten(2).transpose(1, 2), out, atol=1e-12, rtol=0)
    assert torch.equal(on_map.weights(x), tokens.weights(sequence))


def test_columns_then_rows_sum_to_one(draw):
    scores = draw(2, 9, 5)
    weights = normalize_twice(scores, positions=1, slots=2)
    assert torch.allclose(weights.sum(dim=2), torch.ones(2, 9).double(), atol=1e-7)
    columns = scores.softmax(dim=1)
    ratio = weights / columns  # one number per position
    assert torch.allclose(ratio, ratio[:, :, :1].expand_as(ratio), rtol=1e-12)
    assert not torch.allclose(weights, scores.softmax(dim=2), atol=0.01), (
        "a single softmax over the slots is something else"
    )


@pytest.mark.parametrize(
    ("module", "shape", "slots"),
    [(ExternalAttention(8, 5), (2, 5, 12), 1), (MultiHeadExternalAttention(8, 2, 4, 5), (2, 8, 12, 5), 3)],
)
def test_weights_sum_to_one_over_the_slots(randomized, draw, module, shape, slots):
    weights = randomized(module).weights(draw(2, 8, 3, 4))
    assert weights.shape == shape
    assert (weights > 0).all()
    assert torch.allclose(weights.sum(dim=slots), torch.ones(1).double(), atol=1e-7)


def kept(module, positions):
    """Numbers kept for the backward pass: the operands of every product."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel())
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        module.eval()(torch.zeros(1, 16, 8, positions // 8, requires_grad=True))
    return sum(sizes)


def bend(module):
    """Second difference of what is kept, over 64, 128 and 192 positions: 0 where it is linear."""
    return kept(module, 192) - 2 * kept(module, 128) + kept(module, 64)


@pytest.mark.parametrize("module", [ExternalAttention(16), MultiHeadExternalAttention(16)])
def test_work_and_memory_are_linear_in_the_positions(module):
    """Every product is of something kept with parameters of a fixed size, so its work is linear where the
    memory is.
    """
    assert kept(module, 128) > kept(module, 64)
    assert bend(module) == 0
    assert bend(SelfAttention(16)) >= 2 * 64**2, "the check must tell the quadratic form apart"


def test_memory_is_shared_between_images(randomized, draw):
    """What any image reads lies in the span of the same few value slots."""
    module = randomized(ExternalAttention(8, slots=3))
    read = [module.memory_value(module.weights(draw(1, 8, 4, 5, seed=seed)))[0] for seed in range(4)]
    assert torch.linalg.matrix_rank(torch.cat(read, dim=1), rtol=1e-9) == 3


def test_heads_share_the_memory(randomized, draw):
    module = randomized(TokenExternalAttention(8, heads=2, expansion=2, slots=5))
    assert module.memory_key.weight.shape == (5, 4)
    with torch.no_grad():  # all four heads ask the same
        module.enter.weight.copy_(module.enter.weight[:4].repeat(4, 1))
        module.enter.bias.copy_(module.enter.bias[:4].repeat(4))
    weights = module.weights(draw(2, 6, 8))
    assert torch.allclose(weights, weights[:, :1].expand_as(weights), atol=1e-14, rtol=0)


def test_memories_start_as_one():
    module = ExternalAttention(8, slots=5)
    assert torch.equal(module.memory_key.weight, module.memory_value.weight.transpose(0, 1))
    assert module.memory_key.weight.data_ptr() != module.memory_value.weight.data_ptr()


def test_starts_as_the_identity(draw):
    x = draw(2, 8, 3, 4).float()
    assert torch.equal(ExternalAttention(8)(x.relu()), x.relu())
    assert torch.equal(MultiHeadExternalAttention(8)(x), x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ExternalAttention(8, slots=0), "slots must be at least 1, got 0"),
        (lambda: MultiHeadExternalAttention(8, slots=-1), "slots must be at least 1, got -1"),
        (lambda: MultiHeadExternalAttention(8, heads=3), "multiple of heads, got 8 and 3"),
        (lambda: MultiHeadExternalAttention(8, heads=0), "multiple of heads, got 8 and 0"),
        (lambda: MultiHeadExternalAttention(8, expansion=0), "expansion must be at least 1, got 0"),
    ],
)
def test_refuses_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
