from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import ExportError
from regard.models.catalog import build
from regard.models.classifiers import GlobalAveragePool
from regard.models.explain.cam import class_activation_map

HEADS: dict[str, Callable[[], list[nn.Module]]] = {
    "pooling and linear": lambda: [GlobalAveragePool(), nn.Linear(6, 5)],
    "with dropout": lambda: [GlobalAveragePool(), nn.Sequential(nn.Dropout(), nn.Linear(6, 5))],
    "adaptive": lambda: [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)],
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_the_map_averages_to_the_logit(
    head: Callable[[], list[nn.Module]], small: Callable[..., nn.Module], images: Tensor
) -> None:
    network = small(*head())
    linear = next(module for module in network.modules() if isinstance(module, nn.Linear))
    logits, activation = class_activation_map(network, images)
    torch.testing.assert_close(logits, network(images), atol=1e-12, rtol=0)
    # 20 x 16 is a whole multiple of 5 x 4: bilinear resizing then weighs inner positions alike, so take the
    # naive map
    features = network.feature_map(images)
    for image, label in enumerate(logits.argmax(dim=1).tolist()):
        naive = sum(linear.weight[label, k] * features[image, k] for k in range(6))
        torch.testing.assert_close(
            naive.mean(), logits[image, label] - linear.bias[label], atol=1e-12, rtol=0
        )
        resized = F.interpolate(naive[None, None], size=(20, 16), mode="bilinear", align_corners=False)[0, 0]
        torch.testing.assert_close(activation[image], resized, atol=1e-12, rtol=0)


def test_a_head_that_ends_in_pooling_shows_its_own_map(
    small: Callable[..., nn.Module], images: Tensor
) -> None:
    network = small(
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Conv2d(8, 5, 1),
        GlobalAveragePool(),
    )
    logits, activation = class_activation_map(network, images)
    torch.testing.assert_close(logits, network(images), atol=1e-12, rtol=0)
    maps = network.head[:-1](network.feature_map(images))  # (B, K, h, w)
    chosen = torch.stack([maps[image, label] for image, label in enumerate(logits.argmax(dim=1))])
    torch.testing.assert_close(chosen.mean(dim=(1, 2)), logits.max(dim=1).values, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        activation, F.interpolate(chosen[:, None], size=(20, 16), mode="bilinear")[:, 0], atol=1e-12, rtol=0
    )


def test_any_class_can_be_asked_for(small: Callable[..., nn.Module], images: Tensor) -> None:
    network = small(GlobalAveragePool(), nn.Linear(6, 5))
    logits, activation = class_activation_map(network, images)
    _, same = class_activation_map(network, images, logits.argmax(dim=1))
    _, other = class_activation_map(network, images, (logits.argmax(dim=1) + 1) % 5)
    assert torch.equal(activation, same)
    assert not torch.allclose(activation, other)


def test_a_segmenter_and_other_networks_are_refused() -> None:
    with pytest.raises(ExportError, match="Segmenter is no Classifier: .*feature map"):
        class_activation_map(build("fcn_resnet18", width=16).eval(), torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize(
    "head",
    [
        (nn.Flatten(), nn.Linear(120, 5)),
        (GlobalAveragePool(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 5)),
        (nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5)),
    ],
)
def test_a_head_without_closed_form_is_refused(
    small: Callable[..., nn.Module], images: Tensor, head: tuple[nn.Module, ...]
) -> None:
    with pytest.raises(
        ExportError, match=f"the head of Small is {type(head[0]).__name__}, .*Linear: .*use gradcam"
    ):
        class_activation_map(small(*head), images)


def test_training_mode_is_refused(small: Callable[..., nn.Module], images: Tensor) -> None:
    with pytest.raises(ExportError, match=r"training mode \(Dropout\)"):
        class_activation_map(small(nn.Dropout(), GlobalAveragePool(), nn.Linear(6, 5)).train(), images)
