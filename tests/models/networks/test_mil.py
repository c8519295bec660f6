import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regard.models.backbones.resnet import ResNet
from regard.models.heads.mil_pooling import GatedAttention, GlobalMaxPool, NoisyOr
from regard.models.networks.mil import MIL, POOLINGS


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def attention() -> GatedAttention:
    torch.manual_seed(0)
    return GatedAttention(6, 4).double()


@pytest.mark.parametrize(
    "pooling", [GlobalMaxPool(), NoisyOr(), attention()], ids=["max", "noisy_or", "attention"]
)
def test_the_order_of_the_instances_does_not_matter(pooling: nn.Module) -> None:
    x = draw(2, 6, 4, 5)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    shuffled = x.flatten(2)[:, :, order].unflatten(2, (5, 4))
    torch.testing.assert_close(pooling(shuffled), pooling(x), atol=1e-12, rtol=0)


def test_noisy_or_is_one_minus_the_chance_of_none() -> None:
    x = draw(2, 3, 4, 5) - 2
    bag = NoisyOr()(x).sigmoid()
    for image, label in np.ndindex(2, 3):
        none = math.prod(1 - 1 / (1 + math.exp(-s)) for s in x[image, label].flatten().tolist())
        assert bag[image, label].item() == pytest.approx(1 - none, abs=1e-12)


def test_noisy_or_of_one_instance_is_that_instance() -> None:
    x = torch.linspace(-80, 80, 33, dtype=torch.float64)[:, None, None, None]
    torch.testing.assert_close(NoisyOr()(x), x[:, :, 0, 0], atol=1e-9, rtol=1e-12)


@pytest.mark.parametrize("score", [-80.0, -30.0, -17.0, -5.0, 0.0, 5.0, 30.0, 80.0])
def test_noisy_or_is_exact_in_single_precision(score: float) -> None:
    """log(prod(1 + exp(s)) - 1) with as many digits as it takes: far below 0 it is s + log(instances), far
    above their sum.
    """
    x = torch.full((1, 1, 7, 7), score)
    total = 49 * math.log1p(math.exp(score))
    assert NoisyOr()(x).item() == pytest.approx(total + math.log(-math.expm1(-total)), rel=1e-5, abs=1e-4)
    x.requires_grad_()
    NoisyOr()(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad.sum().item() == pytest.approx(49 / (1 + math.exp(-score)) / -math.expm1(-total), rel=1e-4)


def test_noisy_or_of_nothing_at_all_is_finite() -> None:
    assert math.isfinite(NoisyOr()(torch.full((1, 1, 2, 2), -1e4)).item())


def test_softmax_over_log_odds_is_the_class_given_that_there_is_one() -> None:
    logits = NoisyOr()(draw(1, 3, 4, 5) - 3)[0]
    p = logits.sigmoid()
    alone = torch.stack([p[c] * math.prod((1 - p[d]).item() for d in range(3) if d != c) for c in range(3)])
    torch.testing.assert_close(logits.softmax(dim=0), alone / alone.sum(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("pooling", [GlobalMaxPool(), NoisyOr()], ids=["max", "noisy_or"])
def test_a_bag_with_one_positive_is_positive(pooling: nn.Module) -> None:
    x = torch.full((2, 1, 6, 6), -12.0)
    x[1, 0, 3, 2] = 9.0
    none, one = pooling(x)[:, 0].tolist()
    assert none < -5
    assert one == pytest.approx(9, abs=1e-3)


def test_gated_attention_is_the_papers() -> None:
    pooling, x = attention(), draw(2, 6, 3, 4)
    v, u, w = (
        layer.weight.detach().numpy()[:, :, 0, 0] for layer in (pooling.value, pooling.gate, pooling.score)
    )
    bv, bu = pooling.value.bias.detach().numpy(), pooling.gate.bias.detach().numpy()
    for image in range(2):
        h = x[image].flatten(1).numpy().T  # (instances, features)
        scores = [w[0] @ (np.tanh(v @ each + bv) / (1 + np.exp(-(u @ each + bu)))) for each in h]
        a = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(pooling.weights(x)[image].flatten().detach(), a, atol=1e-12)
        np.testing.assert_allclose(
            pooling(x)[image].detach(), sum(a[k] * h[k] for k in range(12)), atol=1e-12
        )


def test_the_gate_can_close() -> None:
    pooling, x = attention(), draw(1, 6, 3, 4)
    nn.init.constant_(pooling.gate.bias, -1e3)  # every score 0: the mean
    torch.testing.assert_close(pooling(x), x.mean(dim=(2, 3)), atol=1e-12, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_network_is_its_positions_scores_pooled(pooling: str) -> None:
    torch.manual_seed(0)
    network = MIL(pooling, ResNet(18, width=8), num_classes=4).double().eval()
    x = draw(2, 3, 96, 64)
    features = network.feature_map(x)
    if pooling == "attention":
        expected = network.head[1](network.head[0](features))
    else:
        positions = torch.stack(
            [
                network.head[0](features[:, :, y : y + 1, x : x + 1])[:, :, 0, 0]
                for y in range(3)
                for x in range(2)
            ]
        )
        p = positions.sigmoid()
        expected = positions.amax(dim=0) if pooling == "max" else (1 - (1 - p).prod(dim=0)).logit()
    torch.testing.assert_close(network(x), expected, atol=1e-8, rtol=1e-8)


def test_noisy_or_begins_near_an_even_chance() -> None:
    torch.manual_seed(0)
    network = MIL("noisy_or", ResNet(18, width=16), num_classes=4).train()
    with torch.inference_mode():
        p = network(torch.randn(2, 3, 224, 224)).sigmoid()
    assert 0.3 < p.min() < p.max() < 0.95


def test_bad_options() -> None:
    with pytest.raises(
        ValueError, match=r"pooling must be one of \['attention', 'max', 'noisy_or'\], got 'mean'"
    ):
        MIL("mean", ResNet(18, width=8))
    with pytest.raises(ValueError, match="inner must be at least 1, got 0"):
        GatedAttention(6, 0)
