import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.models.backbones.resnet import ResNet
from regard.models.catalog import build
from regard.models.explain.grad_cam import grad_cam
from regard.models.losses.criterion import UNLABELLED, cross_entropy
from regard.models.networks.gain import GAIN

CLASSES = 4


def network(**options: float) -> GAIN:
    """Without the randomness and the batch statistics of training, but with its losses: in evaluation mode,
    float64.
    """
    torch.manual_seed(0)
    gain = GAIN(ResNet(18, width=8), num_classes=CLASSES, **options).double().eval()
    for parameter in gain.parameters():
        torch.nn.init.normal_(
            parameter, 0.05 if parameter.ndim == 1 else 0.0, 0.3 if parameter.ndim == 1 else 0.15
        )
    gain.fc.weight.data += 0.1  # maps that are not 0 everywhere after relu
    return gain


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def attended(gain: GAIN, image: Tensor, label: int) -> Tensor:
    """A^c scaled, by equations 1 and 2 for one image, from the map that is exported."""
    _, activation = grad_cam(gain, image[None], torch.tensor([label]))
    return activation[0] / max(activation.max().item(), 1e-8)


def left(gain: GAIN, image: Tensor, label: int) -> Tensor:
    """The logits of I*, by equations 3 and 4 for one image."""
    mask = 1 / (1 + torch.exp(-10 * (attended(gain, image, label) - 0.5)))
    return gain((image - mask * image)[None])[0]


def test_the_loss_of_one_class_each_is_equation_6() -> None:
    gain, x, targets = network(mining_weight=0.7), draw(3, 3, 64, 64), torch.tensor([1, 3, 0])
    scores = [
        left(gain, image, label).softmax(dim=0)[label]
        for image, label in zip(x, targets.tolist(), strict=True)
    ]
    assert all(attended(gain, image, label).any() for image, label in zip(x, targets.tolist(), strict=True))
    expected = F.cross_entropy(gain(x), targets) + 0.7 * sum(scores) / 3
    torch.testing.assert_close(
        gain.training_loss(x, targets, cross_entropy()).double(), expected, atol=1e-6, rtol=1e-6
    )


def test_label_maps_bring_the_extension_of_equation_8() -> None:
    gain, x = network(mask_weight=3.0), draw(2, 3, 64, 64)
    targets = torch.full((2, 64, 64), UNLABELLED)
    targets[0, :30] = 1
    targets[0, 30:, :20] = 3
    targets[1, 10:20, 10:20] = 0
    pairs = [(0, 1), (0, 3), (1, 0)]
    present = torch.zeros(2, CLASSES, dtype=torch.float64)
    mining, supervision = 0.0, 0.0
    for image, label in pairs:
        present[image, label] = 1
        mining += left(gain, x[image], label).sigmoid()[label] / 3
        supervision += (
            attended(gain, x[image], label) - (targets[image] == label).double()
        ).square().mean() / 3
    logits = gain(x)
    multi_label = -(present * F.logsigmoid(logits) + (1 - present) * F.logsigmoid(-logits)).mean()
    expected = multi_label + mining + 3.0 * supervision
    torch.testing.assert_close(
        gain.training_loss(x, targets, cross_entropy()), expected, atol=1e-10, rtol=1e-10
    )


def test_mining_reaches_the_first_convolution_and_the_classifier() -> None:
    """Through the map itself: what is left in I* depends on where A is, and A on the features and the
    gradient's weights.
    """
    gain, x, targets = network(), draw(2, 3, 64, 64), torch.tensor([1, 3])
    image = torch.arange(2)
    attention = gain.attention(gain.feature_map(x), image, targets, x)
    assert attention.requires_grad
    loss = (attention * draw(*attention.shape)).sum()
    first, last = torch.autograd.grad(loss, [gain.backbone.conv1.weight, gain.fc.weight])
    assert first.abs().max() > 0
    # the second order: the map's weights are a gradient, which depends on fc's
    assert last[[1, 3]].abs().max() > 0
    assert last[[0, 2]].abs().max() == 0


def test_the_gradient_is_that_of_the_loss() -> None:
    """Along a random direction in all parameters, against a difference quotient: the mining term has no
    detached part.
    """
    gain, x, targets = network(mining_weight=5.0), draw(2, 3, 64, 64), torch.tensor([1, 3])

    def mining() -> Tensor:
        image = torch.arange(2)
        _, scores = gain.mined(x, gain.feature_map(x), image, targets)
        return scores.softmax(dim=1)[image, targets].sum()

    parameters = [gain.fc.weight, gain.backbone.layer4[1].bn2.weight]
    gradients = torch.autograd.grad(mining(), parameters)
    directions = [draw(*parameter.shape) for parameter in parameters]
    expected = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    step, values = 1e-6, []
    for sign in (1, -1):
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.data += sign * step * direction
        values.append(mining().item())
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.data -= sign * step * direction
    assert abs(expected.item()) > 1e-4
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected.item(), rel=1e-4)


def test_without_labels_nothing_is_mined() -> None:
    gain, x = network(), draw(2, 3, 64, 64)
    nothing = gain.training_loss(x, torch.full((2, 64, 64), UNLABELLED), cross_entropy())
    torch.testing.assert_close(nothing, -F.logsigmoid(-gain(x)).mean(), atol=1e-10, rtol=1e-10)


def test_in_evaluation_it_is_the_plain_classifier() -> None:
    gain, plain = (
        build("gain_resnet18", num_classes=CLASSES, width=8).eval(),
        build("resnet18", num_classes=CLASSES, width=8).eval(),
    )
    plain.load_state_dict(gain.state_dict())
    x = draw(2, 3, 32, 32).float()
    assert torch.equal(gain(x), plain(x))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("threshold", 1.0, "threshold must lie between 0 and 1, got 1.0"),
        ("sharpness", 0.0, "sharpness must be positive, got 0.0"),
        ("mining_weight", -1.0, "must be 0 or more, got -1.0"),
        ("mask_weight", -2.0, "must be 0 or more, got 1.0 and -2.0"),
    ],
)
def test_bad_options(option: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GAIN(ResNet(18, width=8), **{option: value})
