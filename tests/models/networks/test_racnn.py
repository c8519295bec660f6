"""RA-CNN: the zoom, where it looks, and which loss trains what."""

import math

import pytest
import torch
from torch import nn

from regard.models.losses.criterion import cross_entropy
from regard.models.losses.ranking import ranking_loss
from regard.models.networks.racnn import RACNN, AttentionProposal, Zoom, limited, strongest_response


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def square(*numbers: float) -> torch.Tensor:
    return torch.tensor([numbers], dtype=torch.float64)


@pytest.fixture
def network() -> RACNN:
    torch.manual_seed(0)
    network = RACNN(num_classes=3, image_size=64, backbone="vgg16_bn", width=4).double().eval()
    for proposal in network.proposals:
        nn.init.normal_(proposal.fc2.weight, std=0.1)  # else the proposals hardly depend on the image
    return network


def test_mask_equation():
    zoom, boxes = Zoom(4), torch.tensor([[1.25, 2.0, 5.5, 6.75]], dtype=torch.float64)
    mask = zoom.weights(draw(1, 3, 8, 8), boxes)

    def h(x: float) -> float:
        return 1 / (1 + math.exp(-10 * x))

    for row in range(8):
        for column in range(8):
            x, y = column + 0.5, row + 0.5
            expected = (h(x - 1.25) - h(x - 5.5)) * (h(y - 2.0) - h(y - 6.75))
            assert abs(mask[0, 0, row, column].item() - expected) < 1e-12


@pytest.mark.parametrize(("sharpness", "tolerance"), [(100, 1e-12), (10, 0.05)])
def test_whole_pixels_are_the_slice_as_the_mask_sharpens(sharpness, tolerance):
    x = draw(1, 3, 16, 16)
    out = Zoom(8, sharpness)(x, square(10 / 16, 6 / 16, 4 / 16))
    error = (out - x[:, :, 2:10, 6:14]).abs().max()
    assert error < tolerance
    assert sharpness == 100 or error > 1e-4  # the softness of k = 10 is there


def test_zoom_is_a_bilinear_resize():
    x = draw(1, 3, 16, 16)
    expected = nn.functional.interpolate(
        x[:, :, 2:10, 6:14], size=(16, 16), mode="bilinear", align_corners=False
    )
    assert (Zoom(16, 100)(x, square(10 / 16, 6 / 16, 4 / 16)) - expected).abs().max() < 1e-12


def test_zoom_tightens_around_a_bright_part():
    """Raising the mean brightness of what is seen moves the square to the planted part and shrinks it to
    about its size.
    """
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    image = (-((columns - 21.5) ** 2 + (rows - 11.5) ** 2) / 30).exp().double().expand(1, 3, 32, 32)
    t = square(0.5, 0.5, 0.35)
    zoom = Zoom(16)
    for _ in range(60):
        t.requires_grad_()
        gradient = torch.autograd.grad(zoom(image, limited(t, 1 / 6)).mean(), t)[0]
        t = (t + 0.05 * gradient).detach()
    seen = limited(t, 1 / 6)
    assert seen[0, 2] < 0.25
    assert (seen[0, :2] - torch.tensor([22 / 32, 12 / 32])).abs().max() < 0.05


def test_limits():
    given = torch.tensor(
        [[0.5, 0.5, 0.1], [0.0, 1.0, 0.3], [0.9, 0.2, 0.8], [0.4, 0.6, 0.25]], requires_grad=True
    )
    expected = torch.tensor([[0.5, 0.5, 0.2], [0.3, 0.7, 0.3], [0.5, 0.5, 0.5], [0.4, 0.6, 0.25]])
    out = limited(given, 0.2)
    assert torch.allclose(out, expected)
    out.sum().backward()
    assert (given.grad == 1).all()


def test_proposals_start_at_the_centre_with_half_the_side():
    out = AttentionProposal(8)(torch.randn(4, 8, 1, 1))
    assert (out - torch.tensor([0.5, 0.5, 0.25])).abs().max() < 0.05


def test_proposal_equation():
    proposal = AttentionProposal(12).double()
    x = draw(2, 3, 2, 2)
    hidden = (x.flatten(1) @ proposal.fc1.weight.T + proposal.fc1.bias).tanh()
    expected = 1 / (1 + (-(hidden @ proposal.fc2.weight.T + proposal.fc2.bias)).exp())
    assert (proposal(x) - expected).abs().max() < 1e-6  # squares are found in float32


def test_strongest_response():
    features = torch.zeros(2, 3, 4, 8)
    features[0, :, 1, 5] = 1
    features[1, 2, 0, 7] = 1
    expected = torch.tensor([[5.5 / 8, 1.5 / 4, 0.25], [0.75, 0.25, 0.25]])
    assert torch.allclose(strongest_response(features), expected)


def test_three_scales(network):
    sizes = []
    for scale in network.scales:
        scale.backbone.features[0].register_forward_pre_hook(
            lambda _, inputs: sizes.append(tuple(inputs[0].shape[2:]))
        )
    network(draw(2, 3, 64, 64))
    assert sizes == [(64, 64), (32, 32), (32, 32)]


def test_answer(network):
    """Each scale sees what the square of the one before cuts out; descriptors of length 1 are joined and
    classified.
    """
    x = image = draw(2, 3, 64, 64)
    descriptors = []
    for index, scale in enumerate(network.scales):
        features = scale.backbone.features(image)
        descriptor = features.mean(dim=(2, 3))
        descriptors.append(descriptor / descriptor.norm(dim=1, keepdim=True))
        if index < 2:
            pooled = nn.functional.max_pool2d(features, 2)
            image = network.zooms[index](image, limited(network.proposals[index](pooled), 1 / 6))
    expected = torch.cat(descriptors, dim=1) @ network.fusion.weight.T + network.fusion.bias
    assert (network(x) - expected).abs().max() < 1e-10
    assert (network.look(x, apart=False).proposed[0].std(dim=0) > 0).all()


def test_each_loss_trains_its_own(network):
    """The proposals get the gradient of the ranking loss through everything that follows them; all else that
    of the classification.
    """
    x, targets = draw(2, 3, 64, 64), torch.tensor([0, 2])
    network.training_loss(x, targets, cross_entropy()).backward()
    got = {name: parameter.grad for name, parameter in network.named_parameters()}

    found = network.look(x, apart=False)
    logits = [
        scale.fc(descriptor) for scale, descriptor in zip(network.scales, found.descriptors, strict=True)
    ]
    ranking = ranking_loss(logits[0], logits[1], targets) + ranking_loss(logits[1], logits[2], targets)
    own = dict(network.proposals.named_parameters())
    expected = dict(zip(own, torch.autograd.grad(ranking, list(own.values())), strict=True))
    assert all(gradient.abs().max() > 0 for gradient in expected.values())
    for name, gradient in expected.items():
        assert torch.allclose(
            got[f"proposals.{name}"], gradient, rtol=1e-6, atol=1e-9 * gradient.abs().max().item()
        ), name

    apart = network.look(x, apart=True)
    logits = [
        scale.fc(descriptor) for scale, descriptor in zip(network.scales, apart.descriptors, strict=True)
    ]
    classification = sum(cross_entropy()(scores, targets) for scores in logits)
    scales = dict(network.scales.named_parameters())
    for name, gradient in zip(
        scales, torch.autograd.grad(classification, list(scales.values())), strict=True
    ):
        assert torch.allclose(got[f"scales.{name}"], gradient, atol=1e-10), name


def test_loss_is_the_sum_of_the_equations(network):
    x, targets = draw(2, 3, 64, 64), torch.tensor([0, 2])
    found, criterion = network.look(x, apart=True), cross_entropy()
    logits = [
        scale.fc(descriptor) for scale, descriptor in zip(network.scales, found.descriptors, strict=True)
    ]
    expected = sum(criterion(scores, targets) for scores in [*logits, network(x)])
    expected = (
        expected + ranking_loss(logits[0], logits[1], targets) + ranking_loss(logits[1], logits[2], targets)
    )
    assert torch.allclose(network.training_loss(x, targets, criterion), expected, atol=1e-6)
    network.guide = 2.0
    misfit = sum((t - goal).square().mean() for t, goal in zip(found.proposed, found.responses, strict=True))
    assert torch.allclose(network.training_loss(x, targets, criterion), expected + 2 * misfit, atol=1e-6)


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="multiple of 64, got 96"):
        RACNN(image_size=96)
    with pytest.raises(ValueError, match="least.*0.6"):
        RACNN(least=0.6)
    with pytest.raises(ValueError, match="64 x 64, got 64 x 32"):
        RACNN(num_classes=2, image_size=64, backbone="vgg16", width=2)(torch.randn(1, 3, 64, 32))
