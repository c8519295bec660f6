"""FCAN: locations, windows, averaged answers, and what trains the attention."""

import pytest
import torch

from regard.models.losses.criterion import cross_entropy
from regard.models.networks import fcan
from regard.models.networks.fcan import FCAN, sampled


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(window: int, parts: int = 3) -> FCAN:
    torch.manual_seed(0)
    return FCAN(num_classes=4, backbone="vgg16_bn", width=2, parts=parts, window=window).double().eval()


@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_windows_are_slices_around_the_locations(window):
    """And moved inside where they reach beyond the map."""
    network, features = build(window, parts=1), draw(1, 16, 5, 6)
    for row in range(5):
        for column in range(6):
            top = min(max(row - (window - 1) // 2, 0), 5 - window)
            left = min(max(column - (window - 1) // 2, 0), 6 - window)
            cut = features[:, :, top : top + window, left : left + window]
            out = network.answers(features, torch.tensor([[6 * row + column]]))[:, 1]
            assert (out - network.parts[0](cut)).abs().max() < 1e-12


def test_evaluation_takes_the_likeliest_location_and_averages():
    network, x = build(2), draw(2, 3, 96, 80)
    features = network.backbone.features(x)
    scores = network.attention.conv2(network.attention.conv1(features).relu()).flatten(2)
    answers = network.answers(features, scores.argmax(dim=2))
    assert (answers[:, 0] - network.whole(features.mean(dim=(2, 3)))).abs().max() < 1e-12
    expected = (answers.exp() / answers.exp().sum(dim=2, keepdim=True)).mean(dim=1)
    assert (network(x).exp() - expected).abs().max() < 1e-10
    assert len(scores.argmax(dim=2).unique()) > 1


def test_attention_is_a_softmax_for_each_part_apart():
    network, features = build(2), draw(2, 16, 5, 6)
    scores = network.attention(features)
    weights = network.attention.weights(scores)
    assert torch.allclose(weights.sum(dim=(2, 3)), torch.ones(2, 3, dtype=torch.float64))
    assert torch.allclose(weights[0, 1], scores[0, 1].exp() / scores[0, 1].exp().sum())
    with torch.no_grad():
        network.attention.conv1.weight[:64] = 0  # the first part's
    changed = (network.attention(features) - scores).abs().amax(dim=(0, 2, 3)) > 0
    assert changed.tolist() == [True, False, False]


def test_samples_follow_the_probabilities():
    """Chi-squared over 6 places of 60 000 draws: below its 99.9 % quantile, 20.5, at this seed."""
    torch.manual_seed(0)
    p = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
    counts = torch.bincount(sampled(p.log().expand(60_000, -1)), minlength=6)
    assert ((counts - 60_000 * p).square() / (60_000 * p)).sum() < 20.5


def test_answers_after_each_part():
    answers, targets = draw(2, 4, 3), torch.tensor([0, 2])
    losses, right = fcan._after_each_part(answers, targets)
    for b in range(2):
        for t in range(3):
            mean = answers[b, : t + 2].softmax(dim=1).mean(dim=0)  # the whole image's, and t + 1 parts'
            assert abs(losses[b, t] + mean[targets[b]].log()) < 1e-12
            assert right[b, t] == (mean.argmax() == targets[b])


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_only_rewards_train_the_attention(monkeypatch, reward):
    network, x = build(2), draw(2, 3, 64, 64)
    monkeypatch.setattr(fcan, "greedy_reward", lambda losses, right: torch.full_like(losses, reward))
    torch.manual_seed(0)
    network.training_loss(x, torch.tensor([0, 1]), cross_entropy()).backward()
    norms = {name: parameter.grad.abs().max() for name, parameter in network.named_parameters()}
    assert all(norm > 0 for name, norm in norms.items() if name.startswith(("whole", "parts")))
    assert all(
        (norm > 0) == bool(reward) for name, norm in norms.items() if name.startswith("attention.conv1")
    )


def test_training_moves_attention_to_the_rewarded_place(monkeypatch):
    """A reward for one position alone: its probability grows."""
    network, features = build(1, parts=1), draw(1, 16, 4, 4)
    goal = 6
    monkeypatch.setattr(network, "features", lambda _: features)
    places: list[torch.Tensor] = []

    def remember(log_probabilities: torch.Tensor) -> torch.Tensor:
        places.append(sampled(log_probabilities))
        return places[-1]

    monkeypatch.setattr(fcan, "sampled", remember)
    monkeypatch.setattr(fcan, "greedy_reward", lambda losses, right: (places[-1] == goal).double())
    torch.manual_seed(0)
    before = network.attention.weights(network.attention(features)).flatten(2)[0, 0, goal].item()
    parameters = list(network.attention.parameters())
    for _ in range(100):
        gradients = torch.autograd.grad(
            network.training_loss(features, torch.tensor([0]), cross_entropy()), parameters
        )
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= 0.03 * gradient
    after = network.attention.weights(network.attention(features)).flatten(2)[0, 0, goal].item()
    assert before < 0.2
    assert after > 0.8


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="window.*got 4 and 0"):
        FCAN(window=0)
    with pytest.raises(ValueError, match="64 x 32 give 4 x 2 features, smaller than window = 3"):
        build(3)(draw(1, 3, 64, 32))
