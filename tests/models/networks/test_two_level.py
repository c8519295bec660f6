"""Two-level attention: the patches kept, the filters grouped, the parts found, and the mixed answer."""

import pytest
import torch
from torch import nn

from regard.models.losses.criterion import cross_entropy
from regard.models.networks.two_level import BIRDS, TwoLevel, kept

OPTIONS = {"width": 2, "patch_size": 32, "filter_labels": 6, "parent": [1, 4], "threshold": 0.5}
QUARTERS = [(0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1)]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def network() -> TwoLevel:
    torch.manual_seed(0)
    return TwoLevel(num_classes=3, backbone="vgg16_bn", boxes=QUARTERS, **OPTIONS).double().eval()


def test_the_filter_keeps_patches_of_the_parent_class(network):
    """FilterNet replaced by one that sees red and blue: red is label 1, a label of the parent class, blue is
    label 0.
    """

    class Colours(nn.Module):
        def forward(self, patches: torch.Tensor) -> torch.Tensor:
            red, blue = patches[:, 0].mean(dim=(1, 2)), patches[:, 2].mean(dim=(1, 2))
            zero = torch.zeros_like(red)
            return torch.stack([9 * blue, 5 * red, zero, zero, 5 * red, zero], dim=1)

    network.object_filter.network = Colours()
    x = torch.zeros(2, 3, 64, 64, dtype=torch.float64)
    x[0, 0, :32] = 1  # the upper two quarters red, the lower blue
    x[0, 2, 32:] = 1
    # the right two blue, the left neither: 2 of 6 labels, below the threshold but the largest
    x[1, 2, :, 32:] = 1
    assert network.object_filter(network.patches(x)).tolist() == [[1, 1, 0, 0], [1, 0, 1, 0]]
    seen = network.object_filter.weights(network.patches(x))
    red = 2 * torch.tensor(5.0).exp()
    assert seen[0, 0].item() == pytest.approx((red / (red + 4)).item(), rel=1e-6)


def test_kept_is_never_empty():
    probabilities = torch.tensor([[0.2, 0.95, 0.91], [0.2, 0.5, 0.1], [0.9, 0.1, 0.1]])
    assert kept(probabilities, 0.9).tolist() == [[0, 1, 1], [0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("backbone", ["vgg16", "vgg19_bn", "resnet18", "resnet50"])
def test_clusters_recover_planted_groups_of_filters(backbone):
    network = TwoLevel(num_classes=3, backbone=backbone, **(OPTIONS | {"width": 8}))
    weight = network.domain.backbone.filters(-2)
    assert len(weight) == network.domain.backbone.channels[-2]
    random = torch.Generator().manual_seed(1)
    planted = torch.randint(3, (len(weight),), generator=random)
    prototypes = torch.randn(3, *weight.shape[1:], generator=random)
    with torch.no_grad():
        weight.copy_(prototypes[planted] + 0.5 * torch.randn(weight.shape, generator=random))
    found = network.fit_parts()
    # one to one: adjusted Rand index 1
    assert len({(int(a), int(b)) for a, b in zip(found, planted, strict=True)}) == 3
    assert torch.equal(network.detectors.argmax(dim=1), found)
    assert (network.detectors.sum(dim=1) == 1).all()


def test_each_part_is_its_detectors_best_patch(network):
    patches = draw(2, 4, 3, 32, 32)
    descriptors, parts = network.describe(patches)
    assert descriptors.shape == (2, 4, 16)
    for b in range(2):
        middle, last = network.domain.backbone.stages(patches[b])[-2:]
        for part in range(3):
            own = network.detectors[:, part] > 0
            scores = [middle[r][own].mean(dim=(1, 2)).sum().item() for r in range(4)]
            best = scores.index(max(scores))
            expected = last[best].mean(dim=(1, 2))
            assert (parts[b, 16 * part : 16 * (part + 1)] - expected).abs().max() < 1e-12


def test_answer(network):
    x = draw(2, 3, 64, 64)
    network.object_filter.threshold = network.object_filter.weights(network.patches(x)).median().item()
    patches = [x[:, :, :32, :32], x[:, :, :32, 32:], x[:, :, 32:, :32], x[:, :, 32:, 32:]]
    objectness = torch.stack(
        [network.object_filter.network(patch).softmax(dim=1)[:, [1, 4]].sum(dim=1) for patch in patches],
        dim=1,
    )
    keep = objectness > network.object_filter.threshold
    keep[torch.arange(2), objectness.argmax(dim=1)] = True
    assert 2 < keep.sum() < 8
    answers = torch.stack([network.domain(patch).softmax(dim=1) for patch in patches], dim=1)
    object_level = torch.stack([answers[b][keep[b]].mean(dim=0) for b in range(2)])
    part_level = network.part_classifier(network.describe(torch.stack(patches, dim=1))[1]).softmax(dim=1)
    # probabilities are float32
    assert (network(x).exp() - object_level - 0.5 * part_level).abs().max() < 1e-5
    assert (network(x).softmax(dim=1) - (object_level + 0.5 * part_level) / 1.5).abs().max() < 1e-5


def test_training_weighs_patches_by_the_filter(network):
    x, targets = draw(2, 3, 64, 64), torch.tensor([0, 2])
    patches = network.patches(x)
    w = network.object_filter.weights(patches)
    p = network.domain(patches.flatten(0, 1)).softmax(dim=1).unflatten(0, (2, 4))
    mixed = torch.stack([sum(w[b, r] * p[b, r] for r in range(4)) / w[b].sum() for b in range(2)])
    expected = -(mixed[0, 0].log() + mixed[1, 2].log()) / 2
    parts = network.describe(patches)[1].detach()
    expected = expected + cross_entropy()(network.part_classifier(parts), targets)
    loss = network.training_loss(x, targets, cross_entropy())
    assert abs((loss - expected).item()) < 1e-5
    trained = torch.autograd.grad(loss, list(network.object_filter.parameters()))
    assert all(gradient.abs().max() > 0 for gradient in trained[-2:])


def test_the_part_level_trains_its_own_layer_only(network):
    x, targets = draw(2, 3, 64, 64), torch.tensor([0, 2])
    seen = []

    def last_only(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append(logits)
        return cross_entropy()(logits, targets) if len(seen) == 2 else 0 * logits.sum()

    network.training_loss(x, targets, last_only).backward()
    trained = {name for name, p in network.named_parameters() if p.grad.abs().max() > 0}
    assert trained == {"part_classifier.weight", "part_classifier.bias"}


def test_there_are_59_birds_in_imagenet():
    assert len(set(BIRDS)) == 59
    assert max(BIRDS) < 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parent": [6]}, r"some of the 6 labels.*\[6\]"),
        ({"parent": []}, "parent"),
        ({"parent": range(6)}, "not all"),
        ({"threshold": 1.0}, "threshold.*1.0"),
        ({"alpha": 0.0}, "alpha.*0.0"),
        ({"parts": 17}, "16 filters.*17"),
        ({"boxes": [(0, 0, 2, 1)]}, "fractions"),
    ],
)
def test_refuses_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        TwoLevel(**({"backbone": "vgg16"} | OPTIONS | options))
