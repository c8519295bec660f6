"""Every kind of answer and input that a Card can state, exported, proven and read back."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tests.export.conftest import CLASSES, HEIGHT, WIDTH, TinyClassifier, TinySegmenter, seeded, tiny_card
from torch import Tensor, nn

from regard.contract.answers import Classes, LabelMap
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.contract.preprocess import Pixels
from regard.errors import ExportError, InvalidInput
from regard.export.artifact import read_artifact
from regard.export.onnx_export import export_onnx


def served(artifact: Path, batch: Pixels) -> np.ndarray:
    (answer,) = onnxruntime.InferenceSession(artifact / "model.onnx").run(None, {"image": batch})
    return np.asarray(answer)


def pixels(*shape: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_labels_that_do_not_exclude_each_other(tmp_path: Path, images: list[Pixels]) -> None:
    network = seeded(TinyClassifier())
    answer = Classes(labels=tuple("abcde"), activation="sigmoid", thresholds=(0.5, 0.6, 0.7, 0.8, 0.9))
    card = tiny_card("classification").updated(answer=answer.model_dump())
    artifact = export_onnx(network, card, tmp_path / "tags", images=images)
    assert artifact.card.answer == answer
    batch = pixels(2, HEIGHT, WIDTH, 3)
    x = torch.from_numpy(batch).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor(card.input.mean).view(3, 1, 1)) / torch.tensor(card.input.std).view(3, 1, 1)
    with torch.inference_mode():
        np.testing.assert_allclose(served(artifact.folder, batch), network(x).sigmoid().numpy(), atol=1e-5)


class OneScore(nn.Module):
    """The first score of each pixel: (B, 3, H, W) -> (B, 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.segmenter = TinySegmenter()

    def forward(self, x: Tensor) -> Tensor:
        return self.segmenter(x)[:, :1]


def test_one_score_of_each_pixel(tmp_path: Path, images: list[Pixels]) -> None:
    network = seeded(OneScore())
    with torch.inference_mode():  # put the threshold where both labels occur
        scores = network(torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)))
    threshold = float(scores.median().sigmoid())
    answer = LabelMap(labels=("background", "object"), activation="sigmoid", threshold=threshold)
    card = tiny_card().updated(answer=answer.model_dump())
    artifact = export_onnx(network, card, tmp_path / "binary", images=images)
    label_map = served(artifact.folder, pixels(1, 40, 56, 3))
    assert (label_map.shape, label_map.dtype) == ((1, 40, 56), np.uint8)
    assert set(np.unique(label_map)) <= {0, 1}
    with pytest.raises(InvalidInput, match=r"5 labels means scores of shape \(1, 5, 32, 48\)"):
        export_onnx(network, tiny_card(), tmp_path / "other", images=images)


class Grey(nn.Module):
    """(B, 1, H, W) -> (B, CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, CLASSES, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean(dim=(2, 3))


def test_one_channel(tmp_path: Path, images: list[Pixels]) -> None:
    taken = ImageInput(height=32, width=32, resize="stretch", channels=1, mean=(0.4,), std=(0.2,))
    card = Card(
        name="grey",
        inputs=(taken,),
        answer=Classes(labels=tuple("abcde")),
        origin=Origin(builder="tests:Grey"),
    )
    artifact = export_onnx(seeded(Grey()), card, tmp_path / "grey", images=images)
    assert taken.fit(images[0]).shape == (32, 32, 1)
    grey = np.repeat(pixels(20, 30, 1), 3, axis=2)
    assert np.array_equal(
        taken.model_copy(update={"height": 20, "width": 30}).fit(grey), grey[..., :1]
    )  # grey stays as it is
    assert served(artifact.folder, taken.fit(images[0])[None]).shape == (1, 5)


class Strided(nn.Module):
    """Takes multiples of 8 only: (B, 3, H, W) -> (B, CLASSES, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 8, 8)
        self.up = nn.ConvTranspose2d(8, CLASSES, 8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x).relu())


def test_a_segmenter_of_a_stride(tmp_path: Path, images: list[Pixels]) -> None:
    network = seeded(Strided())
    card = tiny_card()
    odd = card.updated(inputs=[card.input.model_dump() | {"height": 36}])
    with pytest.raises(InvalidInput, match="32 x 48 for 36 x 48: pad .* pad_to=8"):  # 36 is no multiple of 8
        export_onnx(network, odd, tmp_path / "odd", images=images)
    card = card.updated(inputs=[card.input.model_dump() | {"height": 36, "pad_to": 8}])
    artifact = export_onnx(network, card, tmp_path / "padded", images=images)
    assert served(artifact.folder, pixels(1, 41, 37, 3)).shape == (1, 41, 37)
    # where nothing is missing nothing is padded
    batch = pixels(1, 40, 48, 3)
    x = (
        torch.from_numpy(batch).permute(0, 3, 1, 2) / 255 - torch.tensor(card.input.mean).view(3, 1, 1)
    ) / torch.tensor(card.input.std).view(3, 1, 1)
    with torch.inference_mode():
        assert (served(artifact.folder, batch) == network(x).argmax(dim=1).numpy()).mean() > 0.999


def test_they_are_read_back(tmp_path: Path, images: list[Pixels]) -> None:
    answer = Classes(labels=tuple("abcde"), activation="sigmoid")
    card = tiny_card("classification").updated(answer=answer.model_dump())
    export_onnx(seeded(TinyClassifier()), card, tmp_path / "tags", images=images)
    assert read_artifact(tmp_path / "tags").card.answer == answer


class Activated(nn.Module):
    """A classifier that applies an activation itself: (B, 3, H, W) -> (B, CLASSES)."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.classifier = TinyClassifier()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.classifier(x))


@pytest.mark.parametrize(
    ("activation", "stated", "message"),
    [
        (
            torch.sigmoid,
            "softmax",
            "last operation is sigmoid: drop that, set the Card's activation to 'sigmoid'",
        ),
        (torch.sigmoid, "sigmoid", "last operation is sigmoid: drop that; the graph"),
        (
            nn.Softmax(dim=1),
            "sigmoid",
            "last operation is softmax: drop that, set the Card's activation to 's",
        ),
        (
            lambda x: x.softmax(dim=1).view(-1, CLASSES),
            "softmax",
            "last operation is softmax: drop that; the graph",
        ),
        # what no operator tells, its values do
        (
            lambda x: x.softmax(dim=1) * 1,
            "softmax",
            "from 0 to 1 adding up to 1 .*Drop its last softmax; the graph",
        ),
        (
            lambda x: 1 / (1 + (-9 * x).exp()),
            "softmax",
            "from 0 to 1 for every image.*Drop its last sigmoid, and set",
        ),
    ],
)
def test_an_activation_is_not_applied_twice(
    tmp_path: Path, images: list[Pixels], activation: Callable[[Tensor], Tensor], stated: str, message: str
) -> None:
    card = tiny_card("classification")
    card = card.updated(answer=card.answer.model_dump() | {"activation": stated})
    network = seeded(Activated(activation))
    with torch.no_grad():
        network.classifier.fc.bias.copy_(torch.tensor([3.0, -3.0, 0.0, 0.0, 0.0]))
    with pytest.raises(ExportError, match=message):
        export_onnx(network, card, tmp_path / "out", images=images)


def test_scores_may_lie_between_0_and_1_by_chance(tmp_path: Path, images: list[Pixels]) -> None:
    network = seeded(Activated(lambda x: 0.4 + 0.01 * x))
    export_onnx(network, tiny_card("classification"), tmp_path / "out", images=images)
