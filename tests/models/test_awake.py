"""Random weights let an answer depend on the image; where they do already they stay as they are."""

import copy

import pytest
import torch
from tests.export.conftest import HEIGHT, WIDTH, TinyClassifier, TinySegmenter, tiny_card
from torch import Tensor, nn

from regard.errors import InvalidInput
from regard.models.load import resolve
from regard.models.load.awake import awaken


class ZeroHead(TinyClassifier):
    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)


class Fading(TinySegmenter):
    """All but the last bias is lost on the way."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self.stem[0].weight *= 1e-6


class Loud(TinyClassifier):
    """Differences between images are small beside the last bias."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self.fc.bias += 1e4


def answers(network: nn.Module) -> Tensor:
    noise = torch.randn(4, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return network(noise + torch.tensor([-1.0, 0, 1, 2]).view(4, 1, 1, 1))


def awake(network: nn.Module) -> nn.Module:
    card = tiny_card("segmentation" if isinstance(network, TinySegmenter) else "classification")
    awaken(network.eval(), card)
    return network


@pytest.mark.parametrize("build", [ZeroHead, Fading, Loud])
def test_answers_come_to_depend_on_the_image(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = build().eval()
    still = copy.deepcopy(network)
    before, after = answers(network), answers(awake(network))
    assert torch.std(before, dim=0).max() < 1e-4 * before.abs().max().clamp(min=1e-6)
    assert torch.std(after, dim=0).max() > 0.1 * after.abs().max()
    assert torch.equal(after, answers(awake(still)))  # the same every time


def test_what_depends_on_the_image_stays_as_it_is() -> None:
    torch.manual_seed(0)
    network = TinyClassifier().eval()
    before = copy.deepcopy(network.state_dict())
    awake(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_random_numbers_of_others_are_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    network = ZeroHead()
    torch.manual_seed(3)
    awake(network)
    assert torch.equal(torch.rand(1), expected)


def test_a_size_that_the_network_does_not_take() -> None:
    with pytest.raises(InvalidInput, match=f"does not take images of {HEIGHT} x {WIDTH}"):
        awaken(nn.Sequential(nn.Flatten(), nn.Linear(7, 5)), tiny_card("classification"))


def test_random_weights_of_the_catalog_are_awake() -> None:
    """MobileNetV2's signals fade to 1e-8."""
    network, _ = resolve("mobilenet_v2?classes=5", weights="random")
    found = answers(network)
    assert torch.std(found, dim=0).max() > 0.1 * found.abs().max()
