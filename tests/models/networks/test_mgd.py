"""MGD: the label tree, the discovered regions, and the joined descriptors."""

import pytest
import torch
import torch.nn.functional as F

from regard.models.losses.criterion import cross_entropy
from regard.models.networks.mgd import BOXES, MGD, RegionDiscovery, check_taxonomy

OPTIONS = {"backbone": "vgg16_bn", "width": 2, "region_size": 32}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def network() -> MGD:
    torch.manual_seed(0)
    return MGD(num_classes=6, taxonomy=[[0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1]], **OPTIONS).double().eval()


@pytest.mark.parametrize("planted", range(0, len(BOXES), 7))
def test_energy_picks_a_planted_blob(planted):
    """Energy in one candidate and none elsewhere: that candidate, not a larger or smaller one, is
    discovered.
    """
    left, top, right, bottom = (round(40 * edge) for edge in BOXES[planted])
    features = torch.zeros(1, 3, 40, 40)
    features[:, :, top:bottom, left:right] = 1.0
    assert torch.allclose(RegionDiscovery(BOXES)(features)[0], torch.tensor(BOXES[planted]), atol=1 / 40)


def test_scores_by_loops():
    boxes = [(0.0, 0.0, 0.5, 1.0), (0.25, 0.5, 1.0, 1.0), (0.5, 0.0, 1.0, 0.5), (0.0, 0.0, 1.0, 1.0)]
    features = draw(5, 3, 4, 4).abs()
    out = RegionDiscovery(boxes)(features)
    for b in range(5):
        energy = features[b].sum(dim=0)
        scores = []
        for left, top, right, bottom in boxes:
            inside = energy[int(4 * top) : int(4 * bottom), int(4 * left) : int(4 * right)]
            scores.append(float(inside.sum() - energy.mean() * inside.numel()))
        assert tuple(out[b].tolist()) == boxes[scores.index(max(scores))]


def test_levels_and_dimensions(network):
    assert [each.detection.fc.out_features for each in network.granularities] == [6, 3, 2]
    assert [each.description.fc.out_features for each in network.granularities] == [6, 3, 2]
    assert network.classifier.in_features == 3 * 16
    default = MGD(num_classes=32, **OPTIONS)
    assert default.levels[1] == tuple(i // 4 for i in range(32))
    assert default.levels[2] == tuple(i // 16 for i in range(32))
    assert {(a, b) for a, b in zip(default.levels[1], default.levels[2], strict=True)} == {
        (a, a // 4) for a in range(8)
    }


@pytest.mark.parametrize(
    ("taxonomy", "message"),
    [
        ([[0, 0, 1, 1], [0, 1, 1, 1]], "must be a tree: class 1 shares label 0"),
        ([[0, 0, 1]], "all 4 classes, got 3"),
        ([[0, 0, -1, 1]], "from 0, got -1"),
    ],
)
def test_refuses_what_is_no_tree(taxonomy, message):
    with pytest.raises(ValueError, match=message):
        MGD(num_classes=4, taxonomy=taxonomy, **OPTIONS)


def test_accepts_a_tree():
    assert check_taxonomy([range(4), [1, 0, 1, 2], [0, 1, 0, 1]]) == (
        (0, 1, 2, 3),
        (1, 0, 1, 2),
        (0, 1, 0, 1),
    )


def test_answer(network):
    """Each level's descriptor is of the region that its own detection network chose."""
    x = draw(2, 3, 64, 64)
    descriptors = []
    for level in network.granularities:
        chosen = level.discovery(level.detection.backbone.features(x))
        regions = []
        for image, box in zip(x, chosen, strict=True):
            if not (box * 64 % 1 == 0).all():
                regions.append(level.region(image[None], level.detection.backbone.features(image[None])))
                continue
            left, top, right, bottom = (int(edge) for edge in box * 64)
            cut = image[None, :, top:bottom, left:right]
            regions.append(F.interpolate(cut, size=(32, 32), mode="bilinear", align_corners=False))
        descriptors.append(level.description.backbone.features(torch.cat(regions)).mean(dim=(2, 3)))
    expected = network.classifier(torch.cat(descriptors, dim=1))
    assert (network(x) - expected).abs().max() < 1e-10


def test_region_is_the_resized_slice(network):
    level = network.granularities[1]
    features = torch.zeros(1, 16, 4, 4, dtype=torch.float64)
    features[:, :, 2:, :2] = 1.0  # the lower left quarter is a candidate
    x = draw(1, 3, 64, 64)
    expected = F.interpolate(x[:, :, 32:, :32], size=(32, 32), mode="bilinear", align_corners=False)
    assert (level.region(x, features) - expected).abs().max() < 1e-12


def test_each_level_learns_its_own_labels(network):
    x, targets = draw(2, 3, 64, 64), torch.tensor([3, 5])
    expected = 0.0
    for level, labels in zip(network.granularities, [[3, 5], [1, 2], [0, 1]], strict=True):
        for logits in (level.detection(x), level.description.fc(level(x))):
            expected += (
                sum((row.logsumexp(0) - row[label]).item() for row, label in zip(logits, labels, strict=True))
                / 2
            )
    expected += cross_entropy()(network(x), targets).item()
    assert abs(network.training_loss(x, targets, cross_entropy()).item() - expected) < 1e-5


def test_the_answer_trains_its_own_layer_only(network):
    x, targets = draw(2, 3, 64, 64), torch.tensor([3, 5])
    gradients = []
    for criterion in (cross_entropy(), lambda logits, _: 0 * logits.sum()):
        network.zero_grad()
        network.training_loss(x, targets, criterion).backward()
        gradients.append({name: p.grad.clone() for name, p in network.named_parameters()})
    differing = {
        name
        for name in gradients[0]
        if not torch.allclose(gradients[0][name], gradients[1][name], atol=1e-12)
    }
    assert differing == {"classifier.weight", "classifier.bias"}
