from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import ExportError
from regard.models.catalog import build
from regard.models.classifiers import GlobalAveragePool
from regard.models.explain.cam import class_activation_map
from regard.models.explain.grad_cam import grad_cam
from regard.models.heads.mil_pooling import GatedAttention


def deep_head() -> list[nn.Module]:
    """Convolutions, activations in place and not, normalization, three poolings and linear layers; 6 features
    on (5, 4) positions.
    """
    return [
        nn.ReLU(inplace=True),
        nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Tanh()),
        nn.MaxPool2d(2, 1),
        nn.Conv2d(8, 7, 2, stride=2),
        nn.ReLU6(inplace=True),
        nn.AvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(14, 9),
        nn.LayerNorm(9),
        nn.ReLU(),
        nn.Linear(9, 5),
    ]


def by_autograd(network: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """The paper's equations with PyTorch's gradients, image by image, at the features' size."""
    maps = []
    for image, label in zip(x, classes.tolist(), strict=True):
        features = network.feature_map(image[None]).detach().requires_grad_()
        y = features.clone()
        for layer in network.head_layers():
            y = layer(y)
        y[0, label].backward()
        assert features.grad is not None
        alpha = [features.grad[0, k].sum() / features.grad[0, k].numel() for k in range(features.shape[1])]
        maps.append(torch.stack([alpha[k] * features[0, k] for k in range(len(alpha))]).sum(dim=0).relu())
    return torch.stack(maps).detach()


@pytest.mark.parametrize("likeliest", [True, False])
def test_it_is_the_papers_map_on_a_deep_head(
    small: Callable[..., nn.Module], images: Tensor, *, likeliest: bool
) -> None:
    network = small(*deep_head())
    logits = network(images)
    classes = logits.argmax(dim=1) if likeliest else logits.argmin(dim=1)
    with torch.no_grad():
        found, activation = grad_cam(network, images, None if likeliest else classes)
    torch.testing.assert_close(found, logits, atol=1e-12, rtol=0)
    expected = by_autograd(network, images, classes)
    assert (expected > 0).any()
    expected = F.interpolate(expected[:, None], size=(20, 16), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(activation, expected, atol=1e-10, rtol=1e-10)


def test_a_pooling_head_gives_the_closed_form(small: Callable[..., nn.Module], images: Tensor) -> None:
    network = small(GlobalAveragePool(), nn.Dropout(), nn.Linear(6, 5))
    with torch.no_grad():
        _, activation = grad_cam(network, images)
        weights = network.head[2].weight[network(images).argmax(dim=1)]
        # 5 x 4 positions
        closed = (weights[:, :, None, None] * network.feature_map(images)).sum(
            dim=1, keepdim=True
        ).relu() / 20
    torch.testing.assert_close(
        activation, F.interpolate(closed, size=(20, 16), mode="bilinear")[:, 0], atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("name", ["resnet18", "se_resnet50", "mobilenet_v2"])
def test_both_maps_agree_on_the_catalog(name: str) -> None:
    """relu(CAM) / positions is Grad-CAM; compared on a feature map of one position, where resizing and relu
    commute.
    """
    torch.manual_seed(0)
    network = build(name, num_classes=5, **({} if name == "mobilenet_v2" else {"width": 16})).double().eval()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        _, closed = class_activation_map(network, x)
        _, activation = grad_cam(network, x)
    torch.testing.assert_close(activation, closed.relu(), atol=1e-12, rtol=1e-10)


def test_the_product_needs_no_autograd(small: Callable[..., nn.Module], images: Tensor) -> None:
    with torch.inference_mode():
        _, activation = grad_cam(small(*deep_head()), images)
    assert not activation.requires_grad
    assert activation.any()


@pytest.mark.parametrize("name", ["mil_max_resnet18", "mil_noisy_or_resnet18", "acol_resnet18"])
def test_weakly_supervised_heads_are_explained(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, num_classes=5, width=16).double().eval()
    x = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        logits, activation = grad_cam(network, x)
    expected = by_autograd(network, x, logits.argmax(dim=1))
    torch.testing.assert_close(
        activation,
        F.interpolate(expected[:, None], size=(64, 96), mode="bilinear")[:, 0],
        atol=1e-10,
        rtol=1e-10,
    )


def test_the_layer_that_stops_it_is_named(small: Callable[..., nn.Module], images: Tensor) -> None:
    network = small(GatedAttention(6, 4), nn.Linear(6, 5))
    with pytest.raises(
        ExportError,
        match=r"layer 0 of the head of Small \(GatedAttention, Linear\): no vector-Jacobian product for G",
    ):
        grad_cam(network, images)
