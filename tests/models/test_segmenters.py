"""Segmenters: logits at the image's size, and what supervises them in training."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.errors import InvalidInput
from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.attention.danet import ChannelAttention, PositionAttention
from regard.models.catalog import CATALOG, build
from regard.models.segmenters import DANet, Segmenter

SEGMENTERS = [name for name, entry in CATALOG.items() if entry.task == "segmentation"]
HEADS = ["fcn", "danet", "ccnet"]


def small(name: str, **options: object) -> Segmenter:
    width = {"width": 16} if "resnet" in name else {}
    network = build(name, num_classes=4, **width, **options)
    assert isinstance(network, Segmenter)
    return network.eval()


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("head", HEADS)
def test_logits_have_the_images_size(head: str, stride: int, decoder: bool) -> None:
    network = small(f"{head}_resnet18", output_stride=stride, decoder=decoder)
    with torch.inference_mode():
        for size in [(32, 32), (33, 65), (50, 37), (1, 1), (7, 100)]:
            scores = network(torch.randn(1, 3, *size))
            assert scores.shape == (1, 4, *size)
            assert torch.isfinite(scores).all()


@pytest.mark.parametrize("name", SEGMENTERS)
def test_first_training_logits_are_the_answer(name: str) -> None:
    network = small(name)
    x = torch.randn(2, 3, 33, 47)
    with torch.inference_mode():
        supervised, answer = network.training_logits(x), network(x)
    assert supervised[0][0] == 1.0
    assert torch.equal(supervised[0][1], answer)
    assert all(logits.shape == answer.shape for _, logits in supervised)


@pytest.mark.parametrize(("head", "weights"), [("fcn", [1, 0.4]), ("ccnet", [1, 0.4]), ("danet", [1, 1, 1, 0.4])])
def test_loss_weights_of_the_papers(head: str, weights: list[float]) -> None:
    network = small(f"{head}_resnet18")
    assert [weight for weight, _ in network.training_logits(torch.randn(1, 3, 32, 32))] == weights


@pytest.mark.parametrize("head", HEADS)
def test_auxiliary_scores_come_from_the_third_stage(head: str) -> None:
    network = small(f"{head}_resnet18")
    x = torch.randn(1, 3, 32, 40)
    expected = F.interpolate(network.auxiliary(network.backbone.stages(x)[2]), size=(32, 40), mode="bilinear", align_corners=False)
    assert torch.equal(network.training_logits(x)[-1][1], expected)
    # and nothing of the fourth stage or of the head is behind them
    network.zero_grad()
    network.training_logits(x)[-1][1].sum().backward()
    assert all(p.grad is None for p in network.backbone.layer4.parameters())
    assert all(p.grad is None for p in network.head.parameters())


@pytest.mark.parametrize("head", HEADS)
def test_the_answer_does_not_need_the_auxiliary_head(head: str) -> None:
    network = small(f"{head}_resnet18")
    x = torch.randn(1, 3, 32, 32)
    expected = network(x)
    for parameter in network.auxiliary.parameters():
        nn.init.constant_(parameter, float("nan"))
    assert torch.equal(network(x), expected)


def test_danet_answers_from_the_sum_of_its_branches() -> None:
    network = small("danet_resnet18")
    assert isinstance(network, DANet)
    x = torch.randn(1, 3, 32, 32)
    position, channel = network.head.branches(network.backbone.stages(x)[-1])
    assert torch.allclose(network.head(network.backbone.stages(x)[-1]), position + channel)
    expected = F.interpolate(network.classifier(position + channel), size=(32, 32), mode="bilinear", align_corners=False)
    assert torch.allclose(network(x), expected, atol=1e-6)


def test_heads_hold_their_mechanism() -> None:
    def kinds(name: str) -> set[type]:
        return {type(module) for module in small(name).head.modules()}

    assert {PositionAttention, ChannelAttention} <= kinds("danet_mobilenet_v2")
    assert CrissCrossAttention in kinds("ccnet_mobilenet_v2")
    assert not {PositionAttention, ChannelAttention, CrissCrossAttention} & kinds("fcn_mobilenet_v2")


@pytest.mark.parametrize(("recurrence", "full"), [(1, False), (2, True)])
def test_ccnet_head_needs_two_passes_to_see_everything(recurrence: int, full: bool) -> None:
    """In the attended features, not through the 3x3 convolutions around them."""
    attention = small("ccnet_resnet18", recurrence=recurrence).head.attention
    nn.init.ones_(attention.gamma)
    x = torch.randn(1, 32, 6, 7, requires_grad=True)
    gradient = torch.autograd.grad(attention(x)[0, :, 0, 0].pow(2).sum(), x)[0].abs().sum(dim=(0, 1))
    assert bool((gradient > 0).all()) is full


@pytest.mark.parametrize("head", HEADS)
def test_inner_defaults_to_a_quarter(head: str) -> None:
    assert small(f"{head}_resnet18").classifier[-1].in_channels == 128 // 4
    assert small(f"{head}_resnet18", inner=16).classifier[-1].in_channels == 16


@pytest.mark.parametrize("head", HEADS)
def test_the_decoder_brings_the_first_stages_detail(head: str) -> None:
    """With a decoder the answer follows the first stage even where the head says nothing."""
    network = small(f"{head}_resnet18", decoder=True)
    x = torch.randn(1, 3, 64, 64)
    maps = network.backbone.stages(x)
    silent = torch.zeros_like(network.head(maps[-1]))
    changed = [maps[0] + 1, *maps[1:]]
    assert network.classify(silent, maps).shape[2:] == maps[0].shape[2:]
    assert not torch.allclose(network.classify(silent, maps), network.classify(silent, changed))


def test_dropout_acts_in_training_only() -> None:
    network = small("fcn_resnet18")
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(network(x), network(x))
    noisy = copy.deepcopy(network)
    for module in noisy.modules():
        if isinstance(module, nn.Dropout2d):
            module.train()
    assert not torch.equal(noisy(x), noisy(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recurrence": 0}, "recurrence must be at least 1"),
        ({"inner": 12}, "multiple of reduction"),
        ({"inner": 0}, "inner"),
        ({"inner": -8}, "inner"),
        ({"output_stride": 4}, "output_stride must be 8, 16 or 32"),
        ({"depth": 3}, "depth"),
    ],
)
def test_refuses_bad_options(options: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        build("ccnet_resnet18", num_classes=4, width=16, **options)
