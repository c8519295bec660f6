"""Checkpoints under the names of other libraries: torchvision's and timm's must answer the same,
mmsegmentation's are written out here.
"""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typer.testing import CliRunner

from regard.errors import InvalidInput, InvalidWeights
from regard.models.backbones.resnet import ResNet
from regard.models.catalog import build
from regard.models.convert.conversion import convert_checkpoint
from regard.models.convert.namings import guess_library, naming_of
from regard.models.convert.rules import rename
from regard.models.foreign.library import import_library
from regard.models.load import resolve
from regard.models.placed_names import unwrapped
from regard.serving.cli.app import app

K, INNER = 4, 32
OPTIONS = {"width": 16, "inner": INNER, "output_stride": 16}
SEGMENTERS = ["fcn", "danet", "ccnet", "gcnet", "nonlocal", "pspnet"]


def library(name: str):
    if find_spec(name) is None:
        pytest.skip(f"{name}'s own networks are compared with; pip install 'regard[foreign]'")
    return import_library(name)


@pytest.fixture
def torchvision():
    return library("torchvision")


@pytest.fixture
def timm():
    return library("timm")


def randomized(network: nn.Module) -> nn.Module:
    """Every tensor random, the BatchNorms' statistics too: a swap would show."""
    random = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=random) + 0.5)
        elif value.is_floating_point():
            value.add_(torch.randn(value.shape, generator=random) * 0.05)
    return network.eval()


def same_logits(ours: nn.Module, theirs: Callable[[Tensor], Tensor], side: int = 64) -> None:
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def saved(folder: Path, state: dict[str, Tensor]) -> Path:
    path = folder / "checkpoint.pth"
    torch.save(state, path)
    return path


def test_resnet_of_torchvision(torchvision, tmp_path: Path) -> None:
    theirs = randomized(torchvision.models.resnet18(num_classes=K))
    done = convert_checkpoint(
        saved(tmp_path, theirs.state_dict()), f"resnet18?classes={K}", tmp_path / "ours.safetensors"
    )
    assert done.library == "torchvision"
    assert done.counts == {"as it is": 2, "renamed": len(theirs.state_dict()) - 2}  # fc's are as they are
    ours, card = resolve("resnet18", weights=str(done.weights))
    assert card.name == "ours"
    assert len(card.answer.labels) == K
    same_logits(ours, theirs)


@pytest.mark.parametrize("name", ["mobilenet_v2", "ccnet_mobilenet_v2"])
def test_mobilenet_v2_of_torchvision(torchvision, name: str) -> None:
    theirs = randomized(torchvision.models.mobilenet_v2(num_classes=K))
    ours = build(name, num_classes=K).eval()
    state, expected, naming = theirs.state_dict(), ours.state_dict(), naming_of("torchvision", ours)
    if name == "mobilenet_v2":
        renamed, _ = rename(state, expected, naming)
        ours.load_state_dict(renamed)
        same_logits(ours, theirs)
        return
    keep = ["head.*", "classifier.*", "auxiliary.*"]
    with pytest.raises(InvalidWeights, match=r"keys \(features.18.0.weight, .* have no place"):
        rename(state, expected, naming, drop=["classifier.*"], keep=keep)
    renamed, _ = rename(state, expected, naming, drop=["features.18.*", "classifier.*"], keep=keep)
    for key in ours.backbone.state_dict():
        assert torch.equal(renamed[f"backbone.{key}"], state[key])


def test_vgg_of_torchvision_becomes_a_backbone(torchvision) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.vgg16_bn()
    state = randomized(theirs.to_empty(device="cpu")).state_dict()
    ours = build("fcan", backbone="vgg16_bn", num_classes=K)
    keep = ["attention.*", "whole.*", "parts.*"]
    renamed, _ = rename(
        state, ours.state_dict(), naming_of("torchvision", ours), drop=["classifier.*"], keep=keep
    )
    assert torch.equal(renamed["backbone.features.40.weight"], state["features.40.weight"])


def test_fcn_of_torchvision(torchvision) -> None:
    """The auxiliary head is half as wide there, and only trains."""
    theirs = randomized(
        torchvision.models.segmentation.fcn_resnet50(
            weights=None, weights_backbone=None, num_classes=K, aux_loss=True
        )
    )
    ours = build("fcn_resnet50", num_classes=K).eval()
    state, expected, naming = theirs.state_dict(), ours.state_dict(), naming_of("torchvision", ours)
    with pytest.raises(
        InvalidWeights, match=r"shapes differ: aux_classifier\.0\.weight is \(256, .* keys to drop "
    ):
        rename(state, expected, naming)
    renamed, rows = rename(state, expected, naming, drop=["aux_classifier.*"], keep=["auxiliary.*"])
    assert sum(row.what == "dropped" for row in rows) == sum(key.startswith("aux") for key in state)
    ours.load_state_dict(renamed)
    same_logits(ours, lambda x: theirs(x)["out"])


def test_squeeze_and_excitation_of_timm(timm) -> None:
    theirs, ours = (
        randomized(timm.create_model("seresnet50", num_classes=K)),
        build("se_resnet50", num_classes=K).eval(),
    )
    assert guess_library(theirs.state_dict()) == "timm"
    renamed, rows = rename(theirs.state_dict(), ours.state_dict(), naming_of("timm", ours))
    assert any(
        (row.source, row.target) == ("layer1.0.se.fc1.weight", "backbone.layer1.0.attention.squeeze.weight")
        for row in rows
    )
    ours.load_state_dict(renamed)
    same_logits(ours, theirs)


def test_a_classifier_becomes_a_backbone(torchvision) -> None:
    state, ours = torchvision.models.resnet18(num_classes=K).state_dict(), build("ccnet_resnet18")
    naming, expected = naming_of("torchvision", ours), ours.state_dict()
    with pytest.raises(
        InvalidWeights, match=r"2 keys \(fc.weight, fc.bias\) of the checkpoint have no place"
    ):
        rename(state, expected, naming)
    renamed, _ = rename(
        state, expected, naming, drop=["fc.*"], keep=["head.*", "classifier.*", "auxiliary.*"]
    )
    assert torch.equal(renamed["backbone.layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])


@pytest.mark.parametrize("name", ["resnet18d", "resnet50t"])
def test_another_stem_is_refused(timm, name: str) -> None:
    with torch.device("meta"):
        theirs, ours = timm.create_model(name), build("resnet18")
    with pytest.raises(InvalidWeights, match="begins with three 3x3 convolutions"):
        rename(theirs.state_dict(), ours.state_dict(), naming_of("timm", ours))


# mmsegmentation: its names and shapes as they are in mmseg.models.decode_heads 1.2.2 and mmcv 2.1.0


class Mmseg:
    """A checkpoint of mmsegmentation's EncoderDecoder on a ResNet-18 of width 16."""

    def __init__(self, head: str) -> None:
        self.random = torch.Generator().manual_seed(2)
        self.state: dict[str, Tensor] = {}
        with torch.device("meta"):
            backbone = ResNet(18, width=16).state_dict()
        for key, value in backbone.items():
            self.add(f"backbone.{key}", *value.shape)
        self.conv_module("auxiliary_head.convs.0", 64, INNER, 3)
        self.conv("auxiliary_head.conv_seg", INNER, K, 1)
        getattr(self, head)()
        self.conv("decode_head.conv_seg", INNER, K, 1)

    def add(self, key: str, *shape: int) -> None:
        if key.endswith("num_batches_tracked"):
            self.state[key] = torch.tensor(7)
        elif key.endswith("running_var"):
            self.state[key] = torch.rand(shape, generator=self.random) + 0.5
        else:
            self.state[key] = torch.randn(shape, generator=self.random) * 0.2

    def conv(self, name: str, channels: int, out: int, kernel: int, *, bias: bool = True) -> None:
        self.add(f"{name}.weight", out, channels, kernel, kernel)
        if bias:
            self.add(f"{name}.bias", out)

    def conv_module(self, name: str, channels: int, out: int, kernel: int) -> None:
        self.conv(f"{name}.conv", channels, out, kernel, bias=False)
        for part in ("weight", "bias", "running_mean", "running_var"):
            self.add(f"{name}.bn.{part}", out)
        self.add(f"{name}.bn.num_batches_tracked")

    def context(self) -> None:
        self.conv_module("decode_head.convs.0", 128, INNER, 3)
        self.conv_module("decode_head.convs.1", INNER, INNER, 3)
        self.conv_module("decode_head.conv_cat", 128 + INNER, INNER, 3)

    def fcn(self) -> None:
        self.conv_module("decode_head.convs.0", 128, INNER, 3)

    def danet(self) -> None:
        for branch in ("pam", "cam"):
            self.conv_module(f"decode_head.{branch}_in_conv", 128, INNER, 3)
            self.conv_module(f"decode_head.{branch}_out_conv", INNER, INNER, 3)
            self.conv(f"decode_head.{branch}_conv_seg", INNER, K, 1)
            self.add(f"decode_head.{branch}.gamma.scale")
        for name, out in (("query", INNER // 8), ("key", INNER // 8), ("value", INNER)):
            self.conv(f"decode_head.pam.{name}_project", INNER, out, 1)

    def ccnet(self) -> None:
        self.context()
        for name, out in (("query", INNER // 8), ("key", INNER // 8), ("value", INNER)):
            self.conv(f"decode_head.cca.{name}_conv", INNER, out, 1)
        self.add("decode_head.cca.gamma.scale")

    def gcnet(self) -> None:
        self.context()
        self.conv("decode_head.gc_block.conv_mask", INNER, 1, 1)
        self.conv("decode_head.gc_block.channel_add_conv.0", INNER, INNER // 4, 1)
        self.add("decode_head.gc_block.channel_add_conv.1.weight", INNER // 4, 1, 1)
        self.add("decode_head.gc_block.channel_add_conv.1.bias", INNER // 4, 1, 1)
        self.conv("decode_head.gc_block.channel_add_conv.3", INNER // 4, INNER, 1)

    def nonlocal_(self) -> None:
        self.context()
        for name in ("g", "theta", "phi"):
            self.conv(f"decode_head.nl_block.{name}.conv", INNER, INNER // 2, 1)
        self.conv_module("decode_head.nl_block.conv_out", INNER // 2, INNER, 1)

    def pspnet(self) -> None:
        for level in range(4):
            self.conv_module(f"decode_head.psp_modules.{level}.1", 128, INNER, 1)
        self.conv_module("decode_head.bottleneck", 128 + 4 * INNER, INNER, 3)


def mmseg_pair(head: str) -> tuple[dict[str, Tensor], nn.Module]:
    checkpoint = Mmseg("nonlocal_" if head == "nonlocal" else head).state
    return checkpoint, build(f"{head}_resnet18", num_classes=K, **OPTIONS).eval()


@pytest.mark.parametrize("head", SEGMENTERS)
def test_every_key_of_mmsegmentation_has_its_place(head: str) -> None:
    state, network = mmseg_pair(head)
    assert guess_library(state) == "mmseg"
    expected = network.state_dict()
    renamed, rows = rename(
        unwrapped({f"module.{key}": value for key, value in state.items()})[0],
        expected,
        naming_of("mmseg", network),
    )
    assert renamed.keys() == expected.keys()
    assert {row.source for row in rows} - {None} == state.keys()
    assert sorted(row.target for row in rows) == sorted(expected)
    filled = [row.target for row in rows if row.source is None]
    assert filled == (["head.attention.project.bias"] if head == "nonlocal" else [])
    network.load_state_dict(renamed)


def conv_bn_relu(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    weight = state[f"{name}.conv.weight"]
    return batch_norm(state, f"{name}.bn", F.conv2d(x, weight, padding=weight.shape[2] // 2)).relu()


def batch_norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    parts = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (state[f"{name}.{part}"][:, None, None] for part in parts)
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def test_the_non_local_head_scales_its_scores_as_there() -> None:
    """The head's equations, in mmsegmentation's form and with its names."""
    state, network = mmseg_pair("nonlocal")
    renamed, _ = rename(state, network.state_dict(), naming_of("mmseg", network))
    network.load_state_dict(renamed)
    head = {
        key.removeprefix("decode_head."): value.double()
        for key, value in state.items()
        if key.startswith("decode_head.")
    }
    x = torch.randn(2, 128, 3, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    h = conv_bn_relu(head, "convs.0", x)
    theta, phi, g = (
        F.conv2d(h, head[f"nl_block.{name}.conv.weight"], head[f"nl_block.{name}.conv.bias"]).flatten(2)
        for name in ("theta", "phi", "g")
    )
    # divided by the root of the depth
    attention = (theta.transpose(1, 2) @ phi / theta.shape[1] ** 0.5).softmax(dim=2)
    y = (g @ attention.transpose(1, 2)).view(2, -1, 3, 4)
    h = h + batch_norm(head, "nl_block.conv_out.bn", F.conv2d(y, head["nl_block.conv_out.conv.weight"]))
    expected = conv_bn_relu(head, "conv_cat", torch.cat([x, conv_bn_relu(head, "convs.1", h)], dim=1))
    with torch.inference_mode():
        torch.testing.assert_close(network.double().head(x), expected, rtol=1e-6, atol=1e-6)


def test_the_deep_stem_is_refused_with_the_reason() -> None:
    state, network = mmseg_pair("ccnet")
    state["backbone.stem.0.weight"] = torch.zeros(8, 3, 3, 3)
    with pytest.raises(InvalidWeights, match=r"begins with three 3x3 convolutions \(resnet-v1c"):
        rename(state, network.state_dict(), naming_of("mmseg", network))


def test_nothing_is_dropped_or_left_untrained_in_silence() -> None:
    state, network = mmseg_pair("gcnet")
    naming, expected = naming_of("mmseg", network), network.state_dict()
    with pytest.raises(
        InvalidWeights, match=r"1 keys \(decode_head.strange\) of the checkpoint have no place"
    ):
        rename(state | {"decode_head.strange": torch.zeros(1)}, expected, naming)
    short = {key: value for key, value in state.items() if key != "decode_head.gc_block.conv_mask.weight"}
    with pytest.raises(InvalidWeights, match=r"nothing for 1 keys \(head.attention.key.weight\).* to keep "):
        rename(short, expected, naming)
    for option in ("drop", "keep"):
        with pytest.raises(
            InvalidInput, match=f"the pattern 'nothing.*' of keys to {option} matches nothing"
        ):
            rename(state, expected, naming, **{option: ["nothing.*"]})
    old = {key: value for key, value in state.items() if "num_batches" not in key}
    _, rows = rename(old, expected, naming)
    assert {row.what.split(":")[0] for row in rows if row.source is None} == {"filled"}


def test_a_head_of_another_library_that_has_no_map() -> None:
    with pytest.raises(
        InvalidInput,
        match="no map from mmsegmentation's names to ExternalAttentionHead; there are maps for CCNetHead",
    ):
        naming_of("mmseg", build("eanet_resnet18", num_classes=K, **OPTIONS))
    for library in ("timm", "mmseg"):
        with pytest.raises(InvalidInput, match=f"no map from {library}'s names to MobileNetV2Classifier"):
            naming_of(library, build("mobilenet_v2"))
    with pytest.raises(InvalidInput, match="no map from timm's names to VisionTransformer"):
        naming_of("timm", build("vit_tiny"))


def run(*arguments: object):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def test_the_command(tmp_path: Path) -> None:
    state, _ = mmseg_pair("ccnet")
    path, output = saved(tmp_path, {"meta": {"epoch": 3}, "state_dict": state}), tmp_path / "ours.safetensors"
    options = [f"--set={key}={value}" for key, value in OPTIONS.items()]
    wrong = run(path, "--to", "ccnet_resnet18", "-o", output, *options)
    assert isinstance(wrong.exception, InvalidWeights)
    assert "is for 4 classes, the network was built for 19: build it with classes=4" in str(wrong.exception)
    assert not output.exists()
    done = run(path, "--to", "ccnet_resnet18", "-o", output, "--set", f"classes={K}", *options)
    assert done.exit_code == 0, done.output
    assert "changed" in done.stdout
    assert "keys: " in done.stdout
    network, card = resolve("ccnet_resnet18", weights=str(output))
    assert torch.equal(network.head.attention.query.bias, state["decode_head.cca.query_conv.bias"])
    assert card.origin.options == {"classes": K, **OPTIONS}
    answer = json.loads(
        run(
            path, "--to", "ccnet_resnet18", "-o", output, "--set", f"num_classes={K}", "--json", *options
        ).stdout
    )
    assert answer["from"] == "mmseg"
    assert {"source": "decode_head.cca.gamma.scale", "target": "head.attention.gamma"}.items() <= next(
        row for row in answer["keys"] if row["target"] == "head.attention.gamma"
    ).items()


def test_a_checkpoint_of_a_training_script(tmp_path: Path) -> None:
    state, _ = mmseg_pair("ccnet")
    inside = {f"module._orig_mod.model.{key}": value for key, value in state.items()}
    path, output = saved(tmp_path, {"model": inside, "ema": inside}), tmp_path / "ours.safetensors"
    options = [f"--set={key}={value}" for key, value in {**OPTIONS, "classes": K}.items()]
    unsure = run(path, "--to", "ccnet_resnet18", "-o", output, *options)
    assert isinstance(unsure.exception, InvalidWeights)
    assert "several state dicts, model, ema; name one as the key" in str(unsure.exception)
    done = run(path, "--to", "ccnet_resnet18", "-o", output, "--key", "ema", "--json", *options)
    assert json.loads(done.stdout)["from"] == "mmseg"
    assert done.stderr.splitlines() == [
        f"{path}: took ema, {len(state)} tensors",
        f"{path}: stripped _orig_mod. of the names",
        f"{path}: stripped module. of the names",
        f"{path}: stripped model. of the names",
    ]
    network, _ = resolve("ccnet_resnet18", weights=str(output))
    assert torch.equal(network.head.attention.query.bias, state["decode_head.cca.query_conv.bias"])


def test_the_output_must_be_safetensors(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"written as \.safetensors, not as 'ours.pt'"):
        convert_checkpoint(saved(tmp_path, {}), "resnet18", tmp_path / "ours.pt")
