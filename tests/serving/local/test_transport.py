"""What a client is told in a server's place."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regard.errors import InferenceError, InvalidInput, UnknownName
from regard.export.artifact import Artifact
from regard.serving.client.sync import Client
from regard.serving.local.model import LocalModel

RED = np.zeros((20, 10, 3), np.uint8) + np.array((200, 30, 30), np.uint8)


@pytest.fixture
def client(colour: Artifact) -> Iterator[Client]:
    with LocalModel(colour.folder).client as client:
        yield client


def encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_files_and_pixels_in_batches(client: Client) -> None:
    images = [encoded(RED), RED, np.roll(RED, 1, axis=2), *[encoded(np.roll(RED, 2, axis=2))] * 9]
    labels = [result.label for result in client.classify("colour", images)]
    assert labels == ["red", "red", "green", *["blue"] * 9]


def test_one_bad_image_of_a_batch_is_named(client: Client) -> None:
    whole = encoded(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    good, bad, other = client.classify("colour", [encoded(RED), whole[:900], RED], on_error="return")
    assert isinstance(bad, InvalidInput)
    assert str(bad).startswith("images[1]: image 0 of the request: the image is damaged")
    assert not isinstance(good, Exception)
    assert not isinstance(other, Exception)


def test_its_only_version_is_the_first(client: Client) -> None:
    assert client.classify("colour", RED, version=1)[0].label == "red"
    with pytest.raises(InvalidInput, match="no version 2"):
        client.classify("colour", RED, version=2)


def test_another_name(client: Client) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'colour'"):
        client.classify("colours", RED)


def test_other_tensors_than_it_takes(client: Client) -> None:
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(InferenceError, match=r"colour takes 'image', got \['pixels'\]"):
        client.infer("colour", {"pixels": pixels})
    with pytest.raises(InferenceError, match="has no elements"):
        client.infer("colour", {"image": pixels[:0]})
    with pytest.raises(InferenceError, match="INTERNAL"):
        client.infer("colour", {"image": pixels[:, :7]})
    with pytest.raises(InferenceError, match="INTERNAL"):
        client.infer("colour", {"image": pixels[0, 0, 0, 0]})
    with pytest.raises(InferenceError, match="'nothing'"):
        client.infer("colour", {"image": pixels}, ["nothing"])


def test_nan_is_no_answer(colour: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    from regard.serving.local import transport

    class Broken:
        outputs = ("probabilities",)

        def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
            return [np.full((1, 3), np.nan, np.float32)]

    monkeypatch.setattr(transport, "open_artifact", lambda *_, **__: Broken())
    with pytest.raises(InferenceError, match="holds NaN"):
        LocalModel(colour.folder).client.classify("colour", RED)


def test_what_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is no exported model"):
        LocalModel(tmp_path)
