"""RAM: its equations written naively, where it looks, and what trains what."""

import numpy as np
import pytest
import torch

from regard.models.losses.criterion import cross_entropy
from regard.models.losses.reinforce import reinforce
from regard.models.networks import ram
from regard.models.networks.ram import RAM


def build(image_size: int = 12) -> RAM:
    torch.manual_seed(0)
    network = RAM(num_classes=4, glimpses=3, glimpse_size=4, scales=2, hidden=8, image_size=image_size)
    network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    return network


def naive(network: RAM, image: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The paper's equations for one grey image (H, W), in NumPy: scores, and places."""
    w = {name: value.numpy() for name, value in network.state_dict().items()}
    height, width = image.shape

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    def sensor(place: np.ndarray) -> np.ndarray:
        column, row = np.floor((place + 1) / 2 * [width, height]).astype(int)
        canvas = np.pad(image, 8)
        sharp = canvas[row + 6 : row + 10, column + 6 : column + 10]
        wide = canvas[row + 4 : row + 12, column + 4 : column + 12]
        coarse = [[wide[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(4)] for i in range(4)]
        return np.concatenate([sharp.ravel(), np.ravel(coarse)])

    place, state, places = np.zeros(2), np.zeros(8), []
    for step in range(3):
        if step:
            place = np.tanh(linear("locator", state))
        places.append(place)
        what = linear("glimpse.fc3", np.maximum(linear("glimpse.fc1", sensor(place)), 0))
        where = linear("glimpse.fc4", np.maximum(linear("glimpse.fc2", place), 0))
        seen = np.maximum(what + where, 0)
        state = np.maximum(linear("core.fc1", seen) + linear("core.fc2", state), 0)
    return linear("classifier", state), places


def test_is_the_papers_equations(draw):
    network, x = build(11), draw(3, 1, 11, 11)
    scores, looked = network(x), network.look(x)
    for index in range(3):
        expected, places = naive(network, x[index, 0].numpy())
        assert np.abs(scores[index].detach().numpy() - expected).max() < 1e-10
        assert np.abs(looked.places[index].detach().numpy() - np.stack(places)).max() < 1e-12


def test_only_what_lies_in_its_glimpses_counts(draw):
    network, x = build(32), draw(1, 1, 32, 32)
    network.scales, network.glimpse.fc1 = 1, torch.nn.Linear(16, 4, dtype=torch.float64)
    scores, explanation = network.explained(x)
    assert torch.equal(scores, network(x))
    seen = torch.zeros(32, 32, dtype=torch.bool)
    for box in explanation["glimpses"][0]:
        left, top, right, bottom = (box * 32).round().int().clamp(0, 32).tolist()
        seen[top:bottom, left:right] = True
    assert 0 < seen.sum() <= 3 * 16
    assert torch.equal(network(torch.where(seen, x, -5.0)), scores)
    assert not torch.equal(network(torch.where(seen, -5.0, x)), scores)


def test_noise_moves_the_places_and_only_they(draw):
    network, x = build(), draw(2, 1, 12, 12)
    still, none = network.look(x), network.look(x, torch.zeros(2, 2, 2, dtype=torch.float64))
    assert torch.equal(still.states, none.states)
    noise = torch.ones(2, 2, 2, dtype=torch.float64)
    moved = network.look(x, noise)
    assert torch.equal(moved.means[:, 0], still.means[:, 0])
    assert torch.allclose(moved.places[:, 1], still.means[:, 0] + 0.17)
    assert torch.equal(moved.places[:, 0], torch.zeros(2, 2, dtype=torch.float64))


def test_each_term_of_the_loss_trains_its_own(monkeypatch, draw):
    """Classification trains what sees, rewards the policy, squares the baseline."""
    network, x = build(), draw(4, 1, 12, 12).float()
    network.float()
    monkeypatch.setattr(ram, "reinforce", lambda policy, rewards: 0 * policy.sum())
    network.training_loss(x, torch.arange(4), cross_entropy()).backward()
    trained = {
        name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0
    }
    assert trained == {name for name, _ in network.named_parameters() if not name.startswith("locator")}


def test_rewards_less_what_was_expected_train_the_policy_alone(monkeypatch, draw):
    network, x, targets = build().float(), draw(4, 1, 12, 12).float(), torch.arange(4)
    given = []
    monkeypatch.setattr(ram, "reinforce", lambda *both: given.append(both) or reinforce(*both))
    torch.manual_seed(3)
    network.training_loss(x, targets, cross_entropy())
    ((policy, rewards),) = given
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(policy.sum(), parameters, allow_unused=True)
    reached = {name for name, each in zip(names, gradients, strict=True) if each is not None}
    assert reached == {"locator.weight", "locator.bias"}
    torch.manual_seed(3)
    looked = network.look(x, torch.randn(4, 2, 2))
    right = (network.classifier(looked.states[:, -1]).argmax(dim=1) == targets).float()
    expected = network.baseline(looked.states[:, :-1])[:, :, 0]
    assert torch.equal(rewards, right[:, None] - expected)


def test_rewards_teach_it_to_look_at_the_marked_place():
    """A glimpse of one pixel; the class is that of a pixel to the left. It learns to look left."""
    torch.manual_seed(2)
    random = torch.Generator().manual_seed(0)
    network = RAM(num_classes=2, image_size=8, glimpses=2, glimpse_size=2, hidden=32)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(300):
        targets = torch.randint(2, (64,), generator=random)
        x = torch.zeros(64, 1, 8, 8)
        x[:, :, :, 1:3] = targets.float()[:, None, None, None] * 2 - 1
        loss = network.training_loss(x, targets, cross_entropy())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        assert (network(x).argmax(dim=1) == targets).float().mean() == 1
        assert network.look(x).places[:, 1, 0].max() < -0.2


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="glimpses must be at least 2, got 1"):
        RAM(glimpses=1)
    with pytest.raises(ValueError, match="at least 1, got 8 and 0"):
        RAM(scales=0)
    with pytest.raises(ValueError, match="this RAM takes images of 28 x 28, got 32 x 32"):
        RAM()(torch.zeros(1, 1, 32, 32))
