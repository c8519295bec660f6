"""Networks that tell colours apart, trained in closed form, and images for them."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.exports import Exports
from torch import Tensor, nn

from regard.contract.answers import Classes, LabelMap
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact

SIZE = 12
COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200), "grey": (120, 120, 120)}
LABELS = tuple(COLOURS)
HELD_OUT, CALIBRATION = 300, 40


def coloured(label: str, seed: int, most: int = 35) -> Pixels:
    """An image of one colour, with noise."""
    noise = np.random.default_rng(seed).integers(-most, most + 1, (SIZE, SIZE, 3))
    return (np.array(COLOURS[label]) + noise).clip(0, 255).astype(np.uint8)


class Colours(nn.Module):
    """(B, 3, H, W) -> logits (B, 4), or of every pixel (B, 4, H, W).

    outlier: of the first layer's 8 channels one that nothing looks at, but which makes the range so wide that
        in int8 the others fall below one step.
    """

    def __init__(self, *, outlier: float = 0.1, pixels: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 8, 1)
        self.scores = nn.Conv2d(8, len(LABELS), 1)
        self.pixels = pixels
        random = torch.Generator().manual_seed(10)
        with torch.no_grad():
            for layer in (self.stem, self.middle, self.last):
                # averages of what lies around, since noise alone may be of any colour
                mixing = torch.randn(*layer.weight.shape[:2], 1, 1, generator=random)
                layer.weight.copy_((mixing / layer.kernel_size[0] ** 2).expand_as(layer.weight))
                layer.bias.fill_(0.1)
            self.stem.bias[0] = outlier
            self.middle.weight[:, 0] = 0
            self._fit()

    def features(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.stem(x).relu()).relu()).relu()

    def forward(self, x: Tensor) -> Tensor:
        scores = self.scores(self.features(x))
        return scores if self.pixels else scores.mean(dim=(2, 3))

    def _fit(self) -> None:
        """The last layer by ridge regression, of each pixel to its label."""
        images = np.stack([coloured(label, 10_000 + seed) for label in LABELS for seed in range(8)])
        x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
        features = self.features(x).permute(0, 2, 3, 1).reshape(-1, 8)
        features = torch.cat([features, torch.ones(len(features), 1)], dim=1).double()
        truth = torch.eye(len(LABELS)).repeat_interleave(8 * SIZE * SIZE, 0).double() * 20
        ridge = features.T @ features + 1e-3 * torch.eye(9)
        solved = torch.linalg.solve(ridge, features.T @ truth).T
        self.scores.weight.copy_(solved[:, :8, None, None])
        self.scores.bias.copy_(solved[:, 8])


def card_of(answer: Classes | LabelMap, name: str) -> Card:
    contract = ImageInput(height=SIZE, width=SIZE, resize="stretch", mean=(0.5,) * 3, std=(0.25,) * 3)
    return Card(name=name, inputs=(contract,), answer=answer, origin=Origin(builder="tests:Colours"))


@pytest.fixture(scope="session")
def exported(exports: Exports) -> Callable[..., Artifact]:
    def of(*, outlier: float = 0.1, pixels: bool = False) -> Artifact:
        answer = LabelMap(labels=LABELS) if pixels else Classes(labels=LABELS)
        images = [coloured(label, 20_000) for label in LABELS]
        return exports.of(Colours(outlier=outlier, pixels=pixels).eval(), card_of(answer, "colours"), images)

    return of


@pytest.fixture
def artifact(exported: Callable[..., Artifact], tmp_path: Path) -> Path:
    """A classifier that int8 does no harm."""
    return Path(shutil.copytree(exported().folder, tmp_path / "artifact"))


@pytest.fixture
def fragile(exported: Callable[..., Artifact], tmp_path: Path) -> Path:
    """The same function, of which int8 leaves nothing."""
    return Path(shutil.copytree(exported(outlier=1e4).folder, tmp_path / "fragile"))


@dataclass(frozen=True)
class Images:
    """calibrate: images without labels. data: others in a folder for each label. both: of the two together,
    without labels.
    """

    calibrate: Path
    data: Path
    both: Path


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    folder = tmp_path_factory.mktemp("images")
    found = Images(folder / "calibrate", folder / "data", folder / "both")
    for index in range(HELD_OUT + CALIBRATION):
        label = LABELS[index % len(LABELS)]
        place = found.calibrate if index < CALIBRATION else found.data / label
        for target in (place, found.both / label):
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(coloured(label, index)).save(target / f"{index:03}.png")
    return found
