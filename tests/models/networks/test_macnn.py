"""MA-CNN: maps from groups of channels, crops at their peaks, and which loss trains what."""

import math

import pytest
import torch

from regard.models.losses.criterion import cross_entropy
from regard.models.networks import macnn
from regard.models.networks.macnn import MACNN, ChannelGrouping, attended


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def network() -> MACNN:
    torch.manual_seed(0)
    return (
        MACNN(num_classes=3, backbone="vgg16_bn", width=2, parts=2, part_size=24, part_resolution=32)
        .double()
        .eval()
    )


def test_equations():
    grouping, x = ChannelGrouping(5, 3).double(), draw(2, 5, 3, 4).abs()
    maps = grouping(x)
    parts = attended(x, maps)
    for b in range(2):
        pooled = [float(x[b, c].mean()) for c in range(5)]
        for i, group in enumerate(grouping.groups):
            w1, b1, w2, b2 = (p.tolist() for p in group.parameters())
            hidden = [
                math.tanh(sum(w * p for w, p in zip(row, pooled, strict=True)) + bias)
                for row, bias in zip(w1, b1, strict=True)
            ]
            d = [
                1 / (1 + math.exp(-(sum(w * v for w, v in zip(row, hidden, strict=True)) + bias)))
                for row, bias in zip(w2, b2, strict=True)
            ]
            m = sum(d[j] * x[b, j] for j in range(5)).sigmoid()
            m = m / m.sum()
            assert (maps[b, i] - m).abs().max() < 1e-12
            for c in range(5):
                assert abs(parts[b, i, c] - (x[b, c] * m).sum()) < 1e-12


def planted(images: int, channels: int, *, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Features whose channels peak near one of four places, which move from image to image, and the place of
    each channel.
    """
    random = torch.Generator().manual_seed(0)
    groups = torch.randint(4, (channels,), generator=random)
    features = torch.rand(images, channels, 12, 12, generator=random)
    for image in range(images):
        places = torch.tensor([[2, 2], [2, 9], [9, 2], [9, 9]]) + torch.randint(
            -1, 2, (4, 2), generator=random
        )
        for channel in range(channels):
            jitter = (noise * torch.randn(2, generator=random)).round().long()
            row, column = (places[groups[channel]] + jitter).clamp(0, 11).tolist()
            features[image, channel, row, column] = 5.0
    return features, groups


def test_fit_recovers_groups_of_channels():
    features, groups = planted(8, 32, noise=1.0)
    grouping = ChannelGrouping(32, 4)
    found = grouping.fit(features)
    pairs = [(int(a), int(b)) for a, b in zip(found, groups, strict=True)]
    assert len(set(pairs)) == 4  # each cluster is one group: adjusted Rand index 1
    for part, group in enumerate(grouping.groups):
        membership = group(features.mean(dim=(2, 3)))
        assert torch.equal(membership > 0.9, (found == part).expand(8, -1))


def test_maps_peak_where_their_groups_do():
    features, groups = planted(8, 32, noise=0.0)
    grouping = ChannelGrouping(32, 4)
    found = grouping.fit(features)
    maps = grouping(features)
    for part in range(4):
        group = groups[(found == part).nonzero()[0, 0]]
        members = features[:, groups == group].sum(dim=1)
        assert torch.equal(maps[:, part].flatten(1).argmax(dim=1), members.flatten(1).argmax(dim=1))


def test_crops_are_around_the_peaks(network):
    network.part_resolution = 24
    x, scores = draw(1, 3, 64, 96), torch.zeros(1, 2, 4, 6, dtype=torch.float64)
    scores[0, 0, 1, 3] = 40.0  # centre at row 24, column 56; so high that its sigmoid is 1
    scores[0, 0, 2, 0] = 39.0  # as is this one's
    scores[0, 1, 3, 5] = 1.0  # in the corner: the square is moved inside
    crops = network.part_crops(x, scores.float())
    assert (crops[:, 0] - x[:, :, 12:36, 44:68]).abs().max() < 1e-12
    assert (crops[:, 1] - x[:, :, 40:64, 72:96]).abs().max() < 1e-12


def test_answer(network):
    x = draw(2, 3, 64, 64)
    features = network.backbone.features(x)
    scores = network.grouping.scores(features)
    crops = network.part_crops(x, scores)
    near = [network.part_networks[i].features(crops[:, i]).mean(dim=(2, 3)) for i in range(2)]
    maps = network.grouping(features)
    parts = [(features * maps[:, i : i + 1]).sum(dim=(2, 3)) for i in range(2)]
    expected = network.fusion(torch.cat([features.mean(dim=(2, 3)), *parts, *near], dim=1))
    assert (network(x) - expected).abs().max() < 1e-10


def test_each_loss_trains_its_own(network, monkeypatch):
    x, targets = draw(2, 3, 64, 64), torch.tensor([0, 2])

    def trained() -> set[str]:
        return {
            name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0
        }

    network.training_loss(x, targets, lambda logits, _: 0 * logits.sum()).backward()
    assert trained() == {f"grouping.{name}" for name, _ in network.grouping.named_parameters()}
    network.zero_grad()
    monkeypatch.setattr(macnn, "grouping_loss", lambda maps: 0 * maps.sum())
    network.training_loss(x, targets, cross_entropy()).backward()
    assert not any(name.startswith("grouping") for name in trained())
    assert all(
        any(name.startswith(part) for name in trained())
        for part in ("backbone", "part_networks.1", "part_classifiers.1", "fusion")
    )


def test_refuses_bad_arguments(network):
    with pytest.raises(ValueError, match="parts.*got 1"):
        MACNN(parts=1)
    with pytest.raises(ValueError, match="part_size.*got 0"):
        MACNN(part_size=0)
    with pytest.raises(ValueError, match="part_size = 24.*got 20 x 64"):
        network(draw(1, 3, 20, 64))
