import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.backbones.resnet import ResNet
from regard.models.explain.cam import class_activation_map
from regard.models.losses.criterion import cross_entropy
from regard.models.networks.acol import ACoL

CLASSES = 4


@pytest.fixture(scope="module")
def acol() -> ACoL:
    torch.manual_seed(0)
    network = ACoL(ResNet(18, width=8), num_classes=CLASSES, inner=12).double().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.05 if parameter.ndim == 1 else 0.0, 0.3 if parameter.ndim == 1 else 0.15)
    return network


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scaled(map_: Tensor) -> Tensor:
    return (map_ - map_.min()) / (map_.max() - map_.min())


def test_the_second_classifier_never_sees_what_the_first_found(acol: ACoL) -> None:
    x, classes = draw(2, 3, 96, 64), torch.tensor([1, 3])
    features, seen = acol.feature_map(x), []
    handle = acol.second.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    first, second = acol.maps(x, classes)
    handle.remove()
    for image, label in enumerate(classes.tolist()):
        erased = scaled(first[image, label]) >= 0.6
        assert 0 < erased.sum() < erased.numel()
        assert not seen[0][image][:, erased].any()
        assert torch.equal(seen[0][image][:, ~erased], features[image][:, ~erased])
    torch.testing.assert_close(second, acol.second(seen[0]))


def test_the_threshold_decides_how_much(acol: ACoL) -> None:
    x, classes, fractions = draw(2, 3, 96, 64), torch.tensor([1, 3]), []
    for threshold in (0.3, 0.6, 0.9):
        network = (
            ACoL(ResNet(18, width=8), num_classes=CLASSES, inner=12, threshold=threshold).double().eval()
        )
        network.load_state_dict(acol.state_dict())
        network.second = nn.Identity()
        _, kept = network.maps(x, classes)
        fractions.append((kept == 0).all(dim=1).double().mean().item())
    assert fractions[0] > fractions[1] > fractions[2] > 0
    assert ACoL(ResNet(18, width=8), num_classes=2, inner=2).threshold == 0.6


def test_the_loss_is_that_of_both_and_goes_through_no_erasing(acol: ACoL) -> None:
    x, targets = draw(2, 3, 96, 64), torch.tensor([1, 3])
    first, second = acol.maps(x, targets)
    losses = [F.cross_entropy(maps.mean(dim=(2, 3)), targets) for maps in (first, second)]
    torch.testing.assert_close(
        acol.training_loss(x, targets, cross_entropy()).double(), sum(losses), atol=1e-6, rtol=1e-6
    )
    weights = acol.first[-1].weight
    (gradient,) = torch.autograd.grad(losses[1], weights, allow_unused=True, retain_graph=True)
    assert gradient is None
    (gradient,) = torch.autograd.grad(losses[1], acol.backbone.conv1.weight)
    assert gradient.any()


def test_the_answer_and_its_map_are_the_first_classifiers(acol: ACoL) -> None:
    x = draw(2, 3, 96, 64)
    logits, activation = class_activation_map(acol, x)
    maps, _ = acol.maps(x, torch.tensor([0, 0]))
    torch.testing.assert_close(logits, maps.mean(dim=(2, 3)), atol=1e-12, rtol=0)
    torch.testing.assert_close(acol(x), logits, atol=1e-12, rtol=0)
    top = torch.stack([maps[image, label] for image, label in enumerate(logits.argmax(dim=1))])
    torch.testing.assert_close(
        activation, F.interpolate(top[:, None], size=(96, 64), mode="bilinear")[:, 0], atol=1e-12, rtol=0
    )


def test_localization_is_the_larger_of_both_maps(acol: ACoL) -> None:
    x, classes = draw(2, 3, 96, 64), torch.tensor([1, 3])
    first, second = acol.maps(x, classes)
    fused = [
        torch.maximum(scaled(first[i, label]), scaled(second[i, label]))
        for i, label in enumerate(classes.tolist())
    ]
    expected = F.interpolate(torch.stack(fused)[:, None], size=(96, 64), mode="bilinear")[:, 0]
    torch.testing.assert_close(acol.localization(x, classes), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("threshold", 0.0, "threshold must lie"), ("inner", 0, "inner must be at least 1")],
)
def test_bad_options(option: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ACoL(ResNet(18, width=8), **{option: value})
