"""Networks of timm, torchvision and smp with random weights: built, adapted without changing an answer, and
described by their Card.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from regard.contract.answers import LabelMap
from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.errors import InvalidInput, InvalidWeights, UnknownName
from regard.export.onnx_export import export_onnx
from regard.models.classifiers import Classifier
from regard.models.explain.cam import class_activation_map
from regard.models.foreign import torchvision_models
from regard.models.foreign.library import import_library
from regard.models.foreign.name import foreign_name
from regard.models.foreign.timm_models import TimmModel
from regard.models.foreign.torchvision_models import TorchvisionModel
from regard.models.foreign.wrappers import DictOutput, Layers, same_answer
from regard.models.load import resolve
from regard.models.padding import scores_of
from regard.models.samples import sample_images

SMP = "smp:FPN?encoder=tu-test_resnet&classes=3&decoder_pyramid_channels=32&decoder_segmentation_channels=32"
# attention whose answer is viewed as windows
MAXVIT = "timm:maxvit_tiny_rw_224?classes=4&img_size=64&embed_dim=[32,64]&depths=[1,1]"


def library(name: str, module: str | None = None):
    if find_spec(module or name) is None:
        pytest.skip(f"{module or name} is not installed; pip install 'regard[foreign]'")
    return import_library(name)


@pytest.fixture
def timm():
    return library("timm")


@pytest.fixture
def torchvision():
    return library("torchvision")


@pytest.fixture
def smp():
    return library("smp", "segmentation_models_pytorch")


def noise(side: int) -> torch.Tensor:
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


def departure(card: Card, transform) -> float:
    """Mean difference between the Card's preprocessing of a photograph and a library's own, in units of its
    standard deviation.
    """
    size = (504, 336)  # both sides are scaled to whole pixels: the libraries round one of them another way
    pixels = np.asarray(Image.fromarray(sample_images(card)[0]).resize(size))
    ours = (card.input.fit(pixels) / 255 - np.array(card.input.mean)) / np.array(card.input.std)
    theirs = transform(Image.fromarray(pixels)).numpy().transpose(1, 2, 0)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).mean() / theirs.std())


@pytest.mark.parametrize(
    "name", ["timm:resnet18", "torchvision:resnet18", "smp:Unet?encoder=resnet18&classes=2"]
)
def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in ("timm", "torchvision", "segmentation_models_pytorch"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("regard.models.foreign.library._declare_missing_operators", lambda: None)
    with pytest.raises(InvalidInput, match=r"cannot be imported.*pip install 'regard\[foreign\]'"):
        resolve(name, weights="random")


def test_nothing_is_downloaded_in_silence(timm) -> None:
    with pytest.raises(
        InvalidInput, match=r"regard downloads none.*timm\.create_model\('resnet18', pretrained=True\)"
    ):
        resolve("timm:resnet18")


# timm


def test_a_classifier_of_timm(timm, tmp_path: Path) -> None:
    theirs = timm.create_model("test_resnet", num_classes=5).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    network, card = resolve("timm:test_resnet?classes=5", weights=str(tmp_path / "w.pt"))
    assert isinstance(network, Classifier)
    assert torch.equal(network(noise(160)), theirs(noise(160)))
    logits, activation = class_activation_map(network, noise(160))
    assert torch.equal(logits, theirs(noise(160)))
    assert activation.shape == (1, 160, 160)
    assert card.origin.builder == "timm:test_resnet"
    assert card.origin.options == {"classes": 5}
    assert card.origin.weights_sha256 == sha256(tmp_path / "w.pt")
    (tmp_path / "w.json").write_text(card.to_json())
    # the Card brings the options
    assert resolve("timm:test_resnet", weights=str(tmp_path / "w.pt"))[1] == card
    with pytest.raises(
        InvalidInput, match="the Card of timm_test_resnet says classes=5, the options classes=6"
    ):
        resolve("timm:test_resnet?classes=6", weights=str(tmp_path / "w.pt"))
    with pytest.raises(InvalidInput, match="belongs to timm:test_resnet, not to timm:test_vit"):
        resolve("timm:test_vit", weights=str(tmp_path / "w.pt"))


def test_random_weights_are_the_same_every_time(timm) -> None:
    one, other = (resolve("timm:test_vit", weights="random")[0] for _ in range(2))
    assert not isinstance(one, Classifier)  # tokens, not a map
    assert torch.equal(one(noise(160)), other(noise(160)))


def test_the_wrong_number_of_classes(timm, tmp_path: Path) -> None:
    torch.save(timm.create_model("test_resnet", num_classes=5).state_dict(), tmp_path / "w.pt")
    with pytest.raises(InvalidWeights, match=r"fc\.weight is \(5, .*name it timm:test_resnet\?classes=N"):
        resolve("timm:test_resnet", weights=str(tmp_path / "w.pt"))


@pytest.mark.parametrize("name", ["timm:test_resnet", "timm:test_vit"])
def test_the_preprocessing_is_timms(timm, name: str) -> None:
    _, card = resolve(name, weights="random")
    config = timm.data.resolve_model_data_config(timm.create_model(card.origin.builder.removeprefix("timm:")))
    assert departure(card, timm.data.create_transform(**config)) < 1e-6
    other = card.updated(inputs=[card.input.model_dump() | {"crop": 0.9}])
    assert departure(other, timm.data.create_transform(**config)) > 0.05  # the measure can fail


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interpolation": "lanczos"}, "resizes by lanczos"),
        ({"crop_mode": "border"}, "crop_mode 'border'"),
        ({"crop_mode": "squash", "crop_pct": 0.9}, "crop_mode 'squash' and crop_pct 0.9"),
        ({"crop_pct": 1.15}, "crop_pct 1.15"),
        ({"input_size": (1, 32, 32)}, "takes 1 channels"),
    ],
)
def test_a_preprocessing_that_a_card_cannot_say(timm, change: dict[str, object], message: str) -> None:
    model = TimmModel(foreign_name("timm:test_resnet", {}))
    model.config |= change
    with pytest.raises(InvalidInput, match=f"timm:test_resnet .*{message}.*give a Card of your own"):
        model.contract()


def test_squashing_is_stretching(timm) -> None:
    model = TimmModel(foreign_name("timm:test_resnet", {}))
    model.config |= {"crop_mode": "squash", "crop_pct": 1.0}
    assert model.contract().resize == "stretch"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "timm:test_resnt",
            UnknownName,
            "no network of timm .* named 'test_resnt'. Did you mean 'test_resnet",
        ),
        ("timm:test_resnet?depht=3", InvalidInput, "timm cannot build test_resnet with .*depht"),
        (
            "timm:test_vit?classes=0",
            InvalidInput,
            "only computes features; give it a classifier with timm:test_vit.classes=N",
        ),
    ],
)
def test_what_timm_refuses(timm, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(name, weights="random")


# torchvision


def test_a_classifier_of_torchvision(torchvision, tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18(num_classes=5).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    network, card = resolve("torchvision:resnet18?classes=5", weights=str(tmp_path / "w.pth"))
    assert isinstance(network, Classifier)
    torch.testing.assert_close(network(noise(64)), theirs(noise(64)), rtol=1e-5, atol=1e-6)
    assert card.answer.labels == tuple(f"class {index}" for index in range(5))
    assert departure(card, torchvision.models.ResNet18_Weights.DEFAULT.transforms()) < 1e-6


def test_a_published_file_brings_its_own_preprocessing_and_labels(
    torchvision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ResNet-50's two published files are resized differently: which one it is shows in the SHA-256 that its
    name holds.
    """
    path = tmp_path / "w.pth"
    torch.save(torchvision.models.get_model("mobilenet_v2", num_classes=3).state_dict(), path)
    entries = torchvision.models.MobileNet_V2_Weights
    first = entries.IMAGENET1K_V1
    entry = SimpleNamespace(
        url=f"https://host/m-{sha256(path)[:8]}.pth",
        transforms=first.transforms,
        meta={"categories": ["a", "b", "c"]},
    )
    monkeypatch.setattr(
        torchvision_models,
        "_published",
        lambda _, weights: entry if sha256(weights)[:8] in entry.url else None,
    )
    _, card = resolve("torchvision:mobilenet_v2?classes=3", weights=str(path))
    assert card.answer.labels == ("a", "b", "c")
    assert card.input.crop == 224 / 256
    assert entries.DEFAULT.transforms().resize_size == [232]


def test_the_file_is_recognised_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"weights")
    digest = sha256(path)
    entries = [SimpleNamespace(url=f"https://host/m-{name}.pth") for name in ("00000000", digest[:8])]
    assert torchvision_models._published(entries, path) is entries[1]
    path.write_bytes(b"other weights")
    assert torchvision_models._published(entries, path) is None


def test_a_segmenter_of_torchvision(torchvision, tmp_path: Path) -> None:
    """A published file holds an auxiliary classifier, which only training asks for."""
    name = "lraspp_mobilenet_v3_large"
    theirs = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=3).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    network, card = resolve(f"torchvision:{name}?classes=3", weights=str(tmp_path / "w.pth"))
    assert card.input.dynamic_size
    assert torch.equal(network(noise(64)), theirs(noise(64))["out"])


def test_an_auxiliary_classifier_in_the_file_is_built_and_taken_out(torchvision, tmp_path: Path) -> None:
    name = "deeplabv3_mobilenet_v3_large"
    theirs = torchvision.models.get_model(
        name, weights=None, weights_backbone=None, num_classes=3, aux_loss=True
    )
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    foreign = TorchvisionModel(foreign_name(f"torchvision:{name}", {"classes": 3}), tmp_path / "w.pth")
    foreign.network.load_state_dict(theirs.state_dict())
    adapted = foreign.adapted()
    assert isinstance(adapted, DictOutput)
    assert foreign.network.aux_classifier is None


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "torchvision:resnt18",
            UnknownName,
            "no network of torchvision named 'resnt18'. Did you mean .*resnet18",
        ),
        ("torchvision:fasterrcnn_resnet50_fpn", InvalidInput, "neither classifies nor segments"),
        ("torchvision:resnet18?depth=3", InvalidInput, "torchvision cannot build resnet18"),
    ],
)
def test_what_torchvision_refuses(torchvision, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(name, weights="random")


# segmentation-models-pytorch


def test_a_segmenter_of_smp_takes_any_size(smp) -> None:
    network, card = resolve(SMP, weights="random")
    assert card.input.pad_to == 32
    assert (card.task, len(card.answer.labels), card.input.dynamic_size, card.name) == (
        "segmentation",
        3,
        True,
        "smp_fpn_tu-test_resnet",
    )
    assert card.input.mean == (0.5, 0.5, 0.5)  # timm's config of the encoder
    with torch.inference_mode():
        assert torch.equal(scores_of(network, noise(64), 32), network(noise(64)))
        assert scores_of(network, noise(64)[:, :, :50, :37], 32).shape == (1, 3, 50, 37)


def test_a_binary_segmenter_of_smp(smp) -> None:
    """One score of each pixel is of two labels."""
    network, card = resolve(SMP.replace("classes=3", "classes=1"), weights="random")
    assert card.answer == LabelMap(labels=("class 0", "class 1"), activation="sigmoid")
    assert network(noise(64)).shape == (1, 1, 64, 64)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("smp:Unett?encoder=resnet18&classes=3", UnknownName, "Did you mean 'Unet'"),
        ("smp:Unet?encoder=resnet81&classes=3", UnknownName, "no smp encoder .*'resnet81'"),
        ("smp:Unet?encoder=resnet18", InvalidInput, "needs classes"),
        ("smp:Unet", InvalidInput, "needs encoder and classes"),
        ("smp:Unet?encoder=resnet18&classes=0", InvalidInput, "classes must be 1 or more, got 0"),
        ("smp:Unet?encoder=resnet18&classes=3&depht=3", InvalidInput, "smp:Unet has no option depht"),
        (
            "smp:Unet?encoder=resnet18&classes=3&encoder_depth=9",
            InvalidInput,
            "smp cannot build Unet on resnet18",
        ),
    ],
)
def test_what_smp_refuses(smp, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(name, weights="random")


# wrappers


def test_the_equality_check_can_fail() -> None:
    torch.manual_seed(0)
    convolution, linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
    network = nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear).eval()
    assert same_answer(network, Layers([convolution, nn.ReLU()], [linear]).eval(), 8, 8)
    assert not same_answer(network, Layers([convolution], [linear]).eval(), 8, 8)  # the ReLU is missing
    assert not same_answer(network, Layers([convolution], [nn.Linear(5, 2)]).eval(), 8, 8)  # does not fit


# end to end


@pytest.mark.parametrize(
    "name",
    [
        "timm:test_vit?classes=4",
        pytest.param(MAXVIT, marks=pytest.mark.slow),
        pytest.param(SMP, marks=pytest.mark.slow),
    ],
)
def test_exported_and_certified_at_untraced_batches_and_sizes(smp, tmp_path: Path, name: str) -> None:
    network, card = resolve(name, weights="random")
    if card.input.dynamic_size:
        card = card.updated(inputs=[card.input.model_dump() | {"height": 64, "width": 96}])
    artifact = export_onnx(network, card, tmp_path / "out", images=sample_images(card))
    (certificate,) = artifact.card.certificates
    assert certificate.passed
    untraced = [row for row in certificate.comparisons if not row.traced]
    assert {row.batch for row in untraced} == {1, 6}
    assert (
        all((row.height, row.width) != (card.input.height, card.input.width) for row in untraced)
        == card.input.dynamic_size
    )
