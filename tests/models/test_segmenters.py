"""Segmenters: logits at the image's size, and what supervises them in training."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.errors import InvalidInput
from regard.models.backbones.resnet import ResNet
from regard.models.catalog import CATALOG, build
from regard.models.heads.asp_oc import AspOCHead
from regard.models.heads.aspp import ASPPHead
from regard.models.heads.base_oc import BaseOCHead
from regard.models.heads.ccnet import CCNetHead
from regard.models.heads.danet import DANetHead
from regard.models.heads.external import ExternalAttentionHead
from regard.models.heads.fcn import FCNHead
from regard.models.heads.gcnet import GCNetHead
from regard.models.heads.non_local import NonLocalHead
from regard.models.heads.pan import FeaturePyramidAttention
from regard.models.heads.psp import PSPHead
from regard.models.heads.pyramid_oc import PyramidOCHead
from regard.models.losses.category_consistent import category_consistent_loss
from regard.models.losses.criterion import UNLABELLED, cross_entropy
from regard.models.segmenters import PAN, ConsistentCCNet, DANet, Segmenter

HEADS = sorted(
    name.removesuffix("_resnet18")
    for name, entry in CATALOG.items()
    if entry.task == "segmentation" and "_resnet18" in name
)
DECODED = [head for head in HEADS if head != "pan"]  # PAN has a decoder of its own
PARTS = {"pan": 8, "eanet": 8, "deeplabv3": 8}  # of the backbone's channels, where not a quarter
SIZES = [(32, 32), (33, 65), (50, 37), (1, 1), (7, 100)]


def small(name: str, **options: object) -> Segmenter:
    width = {"width": 16} if "resnet" in name else {}
    network = build(name, num_classes=4, **width, **options)
    assert isinstance(network, Segmenter)
    return network.eval()


def assert_scores_of_any_size(network: Segmenter) -> None:
    with torch.inference_mode():
        for size in SIZES:
            scores = network(torch.randn(1, 3, *size))
            assert scores.shape == (1, 4, *size)
            assert torch.isfinite(scores).all()


@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("head", HEADS)
def test_logits_have_the_images_size(head: str, stride: int) -> None:
    assert_scores_of_any_size(small(f"{head}_resnet18", output_stride=stride))


@pytest.mark.parametrize("head", DECODED)
def test_logits_have_the_images_size_with_a_decoder(head: str) -> None:
    assert_scores_of_any_size(small(f"{head}_resnet18", output_stride=16, decoder=True))


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
def test_every_network_has_the_head_of_its_name(backbone: str) -> None:
    expected = {
        "asp_oc": AspOCHead,
        "base_oc": BaseOCHead,
        "ccnet": CCNetHead,
        "danet": DANetHead,
        "deeplabv3": ASPPHead,
        "eanet": ExternalAttentionHead,
        "fcn": FCNHead,
        "gcnet": GCNetHead,
        "nonlocal": NonLocalHead,
        "pan": FeaturePyramidAttention,
        "pspnet": PSPHead,
        "pyramid_oc": PyramidOCHead,
    }
    with torch.device("meta"):
        assert {head: type(small(f"{head}_{backbone}").head) for head in HEADS} == expected


@pytest.mark.parametrize(
    "name",
    [f"{head}_resnet18" for head in HEADS] + ["ccnet_mobilenet_v2", "danet_mobilenet_v2", "pan_mobilenet_v2"],
)
def test_first_training_logits_are_the_answer(name: str) -> None:
    network = small(name)
    x = torch.randn(2, 3, 33, 47)
    with torch.inference_mode():
        supervised, answer = network.training_logits(x), network(x)
    assert supervised[0][0] == 1.0
    assert torch.equal(supervised[0][1], answer)
    assert all(logits.shape == answer.shape for _, logits in supervised)


@pytest.mark.parametrize("head", HEADS)
def test_loss_weights_of_the_papers(head: str) -> None:
    network = small(f"{head}_resnet18")
    weights = [1, 1, 1, 0.4] if head == "danet" else [1, 0.4]
    assert [weight for weight, _ in network.training_logits(torch.randn(1, 3, 32, 32))] == weights


@pytest.mark.parametrize("head", HEADS)
def test_auxiliary_scores_come_from_the_third_stage(head: str) -> None:
    network = small(f"{head}_resnet18")
    x = torch.randn(1, 3, 32, 40)
    expected = F.interpolate(
        network.auxiliary(network.backbone.stages(x)[2]), size=(32, 40), mode="bilinear", align_corners=False
    )
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
    expected = F.interpolate(
        network.classifier(position + channel), size=(32, 32), mode="bilinear", align_corners=False
    )
    assert torch.allclose(network(x), expected, atol=1e-6)


@pytest.mark.parametrize(("recurrence", "full"), [(1, False), (2, True)])
def test_ccnet_head_needs_two_passes_to_see_everything(recurrence: int, full: bool) -> None:
    """In the attended features, not through the 3x3 convolutions around them."""
    attention = small("ccnet_resnet18", recurrence=recurrence).head.attention
    nn.init.ones_(attention.gamma)
    x = torch.randn(1, 32, 6, 7, requires_grad=True)
    gradient = torch.autograd.grad(attention(x)[0, :, 0, 0].pow(2).sum(), x)[0].abs().sum(dim=(0, 1))
    assert bool((gradient > 0).all()) is full


@pytest.mark.parametrize("head", HEADS)
def test_inner_defaults_to_a_part_of_the_channels(head: str) -> None:
    assert small(f"{head}_resnet18").classifier[-1].in_channels == 128 // PARTS.get(head, 4)
    assert small(f"{head}_resnet18", inner=16).classifier[-1].in_channels == 16


@pytest.mark.parametrize("head", DECODED)
def test_the_decoder_brings_the_first_stages_detail(head: str) -> None:
    """With a decoder the answer follows the first stage even where the head says nothing."""
    network = small(f"{head}_resnet18", decoder=True)
    x = torch.randn(1, 3, 64, 64)
    maps = network.backbone.stages(x)
    silent = torch.zeros_like(network.head(maps[-1]))
    changed = [maps[0] + 1, *maps[1:]]
    assert network.classify(silent, maps).shape[2:] == maps[0].shape[2:]
    assert not torch.allclose(network.classify(silent, maps), network.classify(silent, changed))


def test_pan_needs_every_stage_and_ends_at_the_firsts_size() -> None:
    network = small("pan_resnet18", output_stride=16)
    assert isinstance(network, PAN)
    maps = network.backbone.stages(torch.randn(1, 3, 64, 96))
    features = network.head(maps[-1])
    scores = network.classify(features, maps)
    assert scores.shape == (1, 4, 16, 24)
    for stage in range(3):
        changed = [m + 1 if index == stage else m for index, m in enumerate(maps)]
        assert not torch.allclose(network.classify(features, changed), scores)
    step = features
    for upsample, low in zip(network.upsample, [maps[2], maps[1], maps[0]], strict=True):
        step = upsample(step, low)
        assert step.shape[2:] == low.shape[2:]
    assert torch.equal(network.classifier(step), scores)


def test_pan_takes_no_other_decoder() -> None:
    with pytest.raises(InvalidInput, match="decoder"):
        small("pan_resnet18", decoder=True)


@pytest.mark.parametrize("recurrence", [1, 2])
def test_category_consistent_ccnet_answers_as_ccnet(recurrence: int) -> None:
    plain = small("ccnet_resnet18", recurrence=recurrence)
    consistent = small("ccnet_resnet18", recurrence=recurrence, category_consistent=True)
    assert {key.split(".")[0] for key in consistent.state_dict().keys() - plain.state_dict().keys()} == {
        "embedding"
    }
    consistent.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 3, 32, 48)
    assert torch.equal(consistent(x), plain(x))


def test_category_consistent_loss_is_that_of_the_attended_features() -> None:
    network = small("ccnet_resnet18", category_consistent=True, output_stride=16)
    assert isinstance(network, ConsistentCCNet)
    nn.init.normal_(network.embedding.weight)
    x, targets = torch.randn(2, 3, 64, 96), torch.randint(0, 4, (2, 64, 96))
    targets[:, :20] = UNLABELLED
    attended = network.head.attention(network.head.reduce(network.backbone.stages(x)[-1]))
    labels = targets[:, ::16, ::16]  # the nearest of each position of a map of stride 16
    extra = category_consistent_loss(network.embedding(attended), labels)
    assert extra > 0.01
    plain = Segmenter.training_loss(network, x, targets, cross_entropy())
    assert torch.allclose(network.training_loss(x, targets, cross_entropy()), plain + extra, rtol=1e-5)
    network.training_loss(x, targets, cross_entropy()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(("stride", "dilations"), [(8, [4, 8, 16]), (16, [1, 2, 2])])
def test_danets_multi_grid(stride: int, dilations: list[int]) -> None:
    """At output stride 8 the last stage's blocks dilate as in the authors' code; elsewhere, and in other
    networks, as usual.
    """
    for head, expected in [("danet", dilations), ("ccnet", {8: [2, 4, 4], 16: [1, 2, 2]}[stride])]:
        blocks = build(f"{head}_resnet50", num_classes=4, width=16, output_stride=stride).backbone.layer4
        assert [block.conv2.dilation[0] for block in blocks] == expected
        assert [block.conv2.padding[0] for block in blocks] == expected


@pytest.mark.parametrize(("depth", "grid", "stride"), [(50, (4, 8), 8), (50, (4, 8, 0), 8), (18, (1, 2), 32)])
def test_refuses_a_multi_grid_that_does_not_fit(depth: int, grid: tuple[int, ...], stride: int) -> None:
    with pytest.raises(ValueError, match="multi_grid"):
        ResNet(depth, width=8, multi_grid=grid, output_stride=stride)


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
