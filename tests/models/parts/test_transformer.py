"""The Transformer encoder against PyTorch's own."""

import pytest
import torch
from torch import nn

from regard.models.parts.transformer import EncoderBlock, Perceptron, TokenSelfAttention


@pytest.fixture
def tokens():
    return torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def block(heads):
    torch.manual_seed(1)
    module = EncoderBlock(16, TokenSelfAttention(16, heads), hidden=24, eps=1e-6).double().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_block_equals_pytorchs(tokens, heads):
    module = block(heads)
    reference = nn.TransformerEncoderLayer(
        16, heads, 24, dropout=0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).double()
    names = {
        "norm1": "norm1",
        "norm2": "norm2",
        "attn.proj": "self_attn.out_proj",
        "mlp.fc1": "linear1",
        "mlp.fc2": "linear2",
    }
    state = {
        f"{theirs}.{leaf}": module.get_submodule(ours).state_dict()[leaf]
        for ours, theirs in names.items()
        for leaf in ("weight", "bias")
    }
    state |= {
        f"self_attn.in_proj_{leaf}": getattr(module.attn.qkv, leaf).detach() for leaf in ("weight", "bias")
    }
    reference.load_state_dict(state)
    assert torch.allclose(module(tokens), reference(tokens), atol=1e-10, rtol=0)


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_equals_pytorchs(tokens, heads):
    module = block(heads).attn
    reference = nn.MultiheadAttention(16, heads, batch_first=True).double()
    with torch.no_grad():
        reference.in_proj_weight.copy_(module.qkv.weight)
        reference.in_proj_bias.copy_(module.qkv.bias)
        reference.out_proj.load_state_dict(module.proj.state_dict())
    expected, weights = reference(tokens, tokens, tokens, average_attn_weights=False)
    assert torch.allclose(module(tokens), expected, atol=1e-10, rtol=0)
    query, key, _ = module.qkv(tokens).view(2, 7, 3, heads, -1).permute(2, 0, 3, 1, 4)
    assert torch.allclose(module.weights(query, key), weights, atol=1e-12, rtol=0)


def test_tokens_have_no_order(tokens):
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    assert torch.allclose(block(4)(tokens[:, order]), block(4)(tokens)[:, order], atol=1e-10, rtol=0)


@pytest.mark.parametrize("heads", [0, -1, 3])
def test_refuses_heads(heads):
    with pytest.raises(ValueError, match=rf"multiple of heads, got 16 and {heads}"):
        TokenSelfAttention(16, heads)


def test_refuses_an_empty_perceptron():
    with pytest.raises(ValueError, match="at least 1 unit, got 0"):
        Perceptron(16, 0)
