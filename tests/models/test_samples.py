"""The sample images and weights that come with regard."""

from pathlib import Path

import numpy as np
import pytest

from regard.contract.answers import Classes
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.contract.preprocess import decode
from regard.models import weights_index
from regard.models.samples import folder, sample_folder, sample_images
from regard.models.weights_index import shipped


def card(data: str | None = None, **contract: object) -> Card:
    return Card(
        name="any",
        inputs=(ImageInput.model_validate(contract),),
        answer=Classes(labels=("a", "b")),
        origin=Origin(builder="resnet18", data=data),
    )


def test_there_are_four_streets_four_photographs_and_a_garment_of_each_class() -> None:
    streets, photographs, garments = (
        [decode(path.read_bytes()) for path in folder(kind).iterdir()]
        for kind in ("street", "photo", "garment")
    )
    assert [pixels.shape for pixels in (*streets, *photographs)] == [(360, 480, 3)] * 8
    assert [pixels.shape for pixels in garments] == [(28, 28, 3)] * 10
    assert len({pixels.tobytes() for pixels in (*streets, *photographs, *garments)}) == 18


def test_there_is_a_shape_of_each_colour_alone_and_beside_another() -> None:
    shapes, pairs = (
        {path.stem: decode(path.read_bytes()) for path in folder(kind).iterdir()}
        for kind in ("shape", "shape_pair")
    )
    assert [pixels.shape for pixels in shapes.values()] == [(64, 64, 3)] * 8
    assert len({name.split("_")[0] for name in shapes}) == 8
    for name, pixels in pairs.items():
        left, right = name.split("_and_")
        assert np.array_equal(pixels, np.concatenate([shapes[left], shapes[right]], axis=1))
    assert len(pairs) == 4


def test_each_source_is_attributed_with_its_licence() -> None:
    text = (folder("street").parent / "ATTRIBUTION.md").read_text()
    for path in folder("street").parent.iterdir():
        assert path.is_file() or f"`{path.name}/`" in text
    assert "CC BY-NC 4.0" in text
    assert "MIT" in text


def test_there_is_a_digit_of_each_class_and_four_pairs() -> None:
    digits, pairs = (
        {path.stem: decode(path.read_bytes()) for path in folder(kind).iterdir()}
        for kind in ("digit", "digit_pair")
    )
    assert sorted(digits) == list("0123456789")
    assert {pixels.shape for pixels in digits.values()} == {(28, 28, 3)}
    assert {pixels.shape for pixels in pairs.values()} == {(56, 56, 3)}
    assert len({pixels.tobytes() for pixels in (*digits.values(), *pairs.values())}) == 14


def test_images_suit_the_network_and_may_travel_with_it() -> None:
    assert sample_folder(card(height=28, width=28, resize="stretch")) == folder("garment")
    digits = "10 000 digits of MNIST, LeCun"
    assert sample_folder(card(digits, height=28, width=28, resize="stretch")) == folder("digit")
    pairs = card(f"pairs made of {digits}", height=56, width=56, resize="stretch")
    assert sample_folder(pairs) == folder("digit_pair")
    large = {"height": 224, "width": 224, "resize": "center_crop"}
    assert sample_folder(card(**large)) == folder("photo")
    assert sample_folder(card(data="CamVid, 11 classes", **large)) == folder("street")
    for width, kind in ((64, "shape"), (128, "shape_pair")):
        drawn = card(data="easy-VQA, Zhou, 2019", height=64, width=width, resize="stretch")
        assert sample_folder(drawn) == folder(kind)


def test_images_have_the_size_of_the_card() -> None:
    for image in sample_images(card(height=32, width=48, resize="stretch")):
        assert image.shape == (32, 48, 3)
        assert image.dtype == np.uint8
    assert {
        image.shape for image in sample_images(card(height=96, width=96, resize="none", dynamic_size=True))
    } == {(360, 480, 3)}


def test_images_come_in_the_order_of_their_names() -> None:
    first = min(folder("garment").iterdir(), key=lambda path: path.name)
    assert np.array_equal(
        sample_images(card(height=28, width=28, resize="stretch"))[0], decode(first.read_bytes())
    )


def test_a_card_without_weights_is_not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_index, "WEIGHTS", tmp_path)
    for name in ("whole.json", "whole.safetensors", "card_only.json"):
        (tmp_path / name).touch()
    assert shipped() == {"whole": tmp_path / "whole.json"}
