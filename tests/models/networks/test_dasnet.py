"""dasNet: the plain network in it, its gains, its equations written naively, and evolution of its policy."""

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from regard.models.losses.boosted import boosted_loss
from regard.models.networks.dasnet import DasNet
from regard.models.training.snes import SNES


def build(passes: int = 2, *, policy: float = 0.5) -> DasNet:
    torch.manual_seed(0)
    network = DasNet(num_classes=4, channels=2, image_size=9, passes=passes, maps=(3, 5), units=6).eval()
    with torch.no_grad():
        for parameter in network.policy.parameters():
            parameter.copy_(policy * torch.randn_like(parameter))
    return network


def plain(network: DasNet, x: torch.Tensor) -> torch.Tensor:
    """The Maxout network as it was before dasNet: no gains anywhere."""
    for conv in network.maxout.convs:
        x = conv(x)
    return network.maxout.classifier(network.maxout.dense(x.flatten(1)))


def test_gains_of_one_and_no_passes_are_the_plain_network_to_the_bit(draw):
    x = draw(3, 2, 9, 9).float()
    for network in (build(passes=0), build(policy=0.0), DasNet(channels=2, image_size=9, maps=(3, 5))):
        scores, explanation = network.eval().explained(x)
        assert torch.equal(explanation["gates"], torch.ones_like(explanation["gates"]))
        assert torch.equal(scores, plain(network, x))
    assert not torch.equal(build()(x), plain(build(), x))


def naive(network: DasNet, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Algorithm 1 for one image (C, H, H), in NumPy with loops."""
    w = {name: value.double().numpy() for name, value in network.state_dict().items()}
    maps, gates, all_gates = network.maxout.maps, np.ones(sum(network.maxout.maps)), []
    seen = scores = np.zeros(0)
    for time in range(network.passes + 1):
        if time:
            s = 1 / (1 + np.exp(-(w["policy.weight"] @ seen + w["policy.bias"])))
            gates = len(s) * s / s.sum()
        all_gates.append(gates)
        y, means, first = x, [], 0
        for layer, count in enumerate(maps):
            kernel, bias = w[f"maxout.convs.{layer}.conv.weight"], w[f"maxout.convs.{layer}.conv.bias"]
            padded, side = np.pad(y, ((0, 0), (1, 1), (1, 1))), y.shape[1]
            responses = np.zeros((2 * count, side, side))
            for row in range(side):
                for column in range(side):
                    window = padded[:, row : row + 3, column : column + 3]
                    responses[:, row, column] = (kernel * window).sum(axis=(1, 2, 3)) + bias
            largest = np.maximum(responses[0::2], responses[1::2])
            half = side // 2
            pooled = largest[:, : 2 * half, : 2 * half].reshape(count, half, 2, half, 2).max(axis=(2, 4))
            y = pooled * gates[first : first + count, None, None]
            means.append(y.mean(axis=(1, 2)))
            first += count
        pieces = w["maxout.dense.fc.weight"] @ y.ravel() + w["maxout.dense.fc.bias"]
        units = np.maximum(pieces[0::2], pieces[1::2])
        scores = w["maxout.classifier.weight"] @ units + w["maxout.classifier.bias"]
        v = np.exp(scores) / np.exp(scores).sum()
        seen = np.concatenate([*means, v])
    return scores, np.stack(all_gates)


def test_is_the_papers_algorithm(draw):
    network, x = build().double(), draw(2, 2, 9, 9)
    scores, explanation = network.explained(x)
    for index in range(2):
        expected, gates = naive(network, x[index].numpy())
        assert np.abs(scores[index].detach().numpy() - expected).max() < 1e-12
        assert np.abs(explanation["gates"][index].detach().numpy() - gates).max() < 1e-12


def test_gains_sum_to_the_number_of_maps(draw):
    gates = build().double().explained(draw(3, 2, 9, 9))[1]["gates"]
    assert gates.shape == (3, 3, 8)
    assert torch.allclose(gates.sum(dim=2), torch.full((3, 3), 8.0, dtype=torch.float64))
    assert not torch.equal(gates[:, 1], gates[:, 2])
    assert not torch.equal(gates[0, 1], gates[1, 1])


def test_evolution_raises_the_fitness_of_a_frozen_network(draw):
    network, x = build(passes=1, policy=0.0), draw(32, 2, 9, 9).float()
    targets = torch.arange(32) % 4
    frozen = {name: value.clone() for name, value in network.maxout.state_dict().items()}
    policy = list(network.policy.parameters())
    snes = SNES(parameters_to_vector(policy).detach(), 0.3, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = boosted_loss(network(x), targets).item()
        for _ in range(20):
            costs = []
            for candidate in snes.ask():
                vector_to_parameters(candidate, policy)
                costs.append(boosted_loss(network(x), targets))
            snes.tell(torch.stack(costs))
        vector_to_parameters(snes.mean, policy)
        assert boosted_loss(network(x), targets).item() < 0.95 * before
    assert all(torch.equal(value, frozen[name]) for name, value in network.maxout.state_dict().items())


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="passes must be at least 0, got -1"):
        DasNet(passes=-1)
    with pytest.raises(ValueError, match="1 to 3 convolutions for images of 8, got 4"):
        DasNet(image_size=8, maps=(4, 4, 4, 4))
    with pytest.raises(ValueError, match="this dasNet takes images of 9 x 9, got 8 x 9"):
        build()(torch.zeros(1, 2, 8, 9))
