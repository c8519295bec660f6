"""The Transformer: PyTorch's own, causality, positions, and one step at a time."""

import math

import pytest
import torch
from torch import nn

from regard.errors import InvalidInput
from regard.models.catalog import CATALOG, build
from regard.models.decoding.forcing import fed, forced
from regard.models.decoding.generated import PADDING
from regard.models.networks.transformer import Transformer, sinusoids

SMALL = CATALOG["transformer"].small
# "65 M" and "213 M", table 3
PARAMETERS = {"transformer": 65e6, "transformer_big": 213e6}


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = build("transformer", **SMALL | {"depth": 2}).double().eval()
    for name, parameter in module.named_parameters():  # as if trained
        if "norm" not in name:
            nn.init.normal_(parameter, std=0.5)
    return module


@pytest.fixture
def source():
    return torch.tensor([[3, 7, 12, 5, 2], [8, 4, 2, PADDING, PADDING]])


@pytest.fixture
def target():
    return torch.tensor([[5, 9, 3, 2], [7, 2, PADDING, PADDING]])


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_has_the_papers_parameters(name, count):
    with torch.device("meta"):
        found = sum(parameter.numel() for parameter in build(name).parameters())
    assert found == pytest.approx(count, rel=0.03)


def copied(layer, theirs, attentions):
    """Our layer's weights in PyTorch's."""
    for ours, name in attentions.items():
        parts = [getattr(ours, part) for part in ("query", "key", "value")]
        attention = getattr(theirs, name)
        attention.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        attention.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        attention.out_proj.load_state_dict(ours.project.state_dict())
    theirs.linear1.load_state_dict(layer.perceptron[0].state_dict())
    theirs.linear2.load_state_dict(layer.perceptron[2].state_dict())
    for index, norm in enumerate(layer.norms, start=1):
        getattr(theirs, f"norm{index}").load_state_dict(norm.state_dict())


@torch.no_grad()
def test_equals_pytorchs(network, source, target):
    width, heads, hidden = SMALL["width"], SMALL["heads"], SMALL["hidden"]
    theirs = nn.Transformer(width, heads, 2, 2, hidden, dropout=0, batch_first=True).double()
    theirs.encoder.norm = theirs.decoder.norm = None  # the paper normalizes after each layer, and no more
    for ours, each in zip(network.encoder, theirs.encoder.layers, strict=True):
        copied(ours, each, {ours.attention: "self_attn"})
    for ours, each in zip(network.decoder, theirs.decoder.layers, strict=True):
        copied(ours, each, {ours.own: "self_attn", ours.source: "multihead_attn"})

    def embedded(tokens, weight):
        return weight[tokens] * math.sqrt(width) + sinusoids(torch.arange(tokens.shape[1]), width)

    hidden_words = source == PADDING
    found = theirs(
        embedded(source, network.source.weight),
        embedded(fed(target), network.target.weight),
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(target.shape[1], dtype=torch.float64),
        src_key_padding_mask=hidden_words.double().masked_fill(hidden_words, -math.inf),
        memory_key_padding_mask=hidden_words.double().masked_fill(hidden_words, -math.inf),
        tgt_is_causal=True,
    )
    expected = found @ network.target.weight.T
    assert torch.allclose(network.scores(source, target), expected, atol=1e-10, rtol=0)


def test_step_by_step_says_what_all_at_once_says(network, source, target):
    stepwise, _ = forced(network, target, source)
    assert torch.allclose(stepwise, network.scores(source, target), atol=1e-10, rtol=0)


def test_says_the_likeliest_words_along_its_own_answer(network, source):
    answer = network(source).tokens
    scores = network.scores(source, answer)
    scores[..., PADDING] = -math.inf
    said = answer != PADDING
    assert torch.equal(scores.argmax(dim=2)[said], answer[said])


def test_no_word_depends_on_later_ones(network, source, target):
    vectors = []
    network.target.register_forward_hook(lambda module, given, out: vectors.append(out) or out.retain_grad())
    scores = network.scores(source, target)
    scores[:, 1].square().sum().backward()
    gradient = vectors[0].grad.abs().sum(dim=2)
    assert (gradient[:, :2] > 0).all()
    assert (gradient[:, 2:] == 0).all()


def test_positions_shift_by_a_rotation():
    """PE(p + k) is linear in PE(p), the same for every p."""
    width, shift = 16, 5
    first, moved = (sinusoids(torch.arange(40) + k, width).double().unflatten(1, (-1, 2)) for k in (0, shift))
    angles = shift / 10_000 ** (torch.arange(0, width, 2).double() / width)
    rotation = torch.stack(
        [torch.stack([angles.cos(), angles.sin()], 1), torch.stack([-angles.sin(), angles.cos()], 1)], 1
    )
    assert torch.allclose(torch.einsum("fij,pfj->pfi", rotation, first), moved, atol=1e-5)


def test_padding_changes_nothing(network, source):
    plain, padded = network(source), network(nn.functional.pad(source, (0, 3)))
    assert torch.equal(plain.tokens, padded.tokens)
    assert torch.allclose(plain.log_probabilities, padded.log_probabilities, atol=1e-10)
    assert torch.allclose(plain.alignment, padded.alignment[:, :, :5], atol=1e-12)
    assert (padded.alignment[:, :, 5:] == 0).all()


def test_beams_are_no_worse_than_greedy_search(network, source):
    network.beams, network.length_penalty = 8, 0.0
    several = network(source).log_probabilities.sum(dim=1)
    network.beams = 1
    assert (several >= network(source).log_probabilities.sum(dim=1) - 1e-9).all()


def test_one_vocabulary_is_one_embedding():
    network = Transformer(words=10, width=8, depth=1, heads=2, hidden=8)
    assert network.source is network.target
    assert network.words == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 15}, "even"),
        ({"heads": 3}, "multiple of heads, got 16 and 3"),
        ({"beams": 20}, "beam of 20"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(InvalidInput, match=message):
        build("transformer", **SMALL | options)
