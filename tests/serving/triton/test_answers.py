"""The server's answers are the network's, through both doors."""

import io

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from PIL import Image

from regard.models.preprocess import Pixels, decode, fit


def pixels(height: int, width: int, *, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image: Pixels, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def test_smoke(served) -> None:
    print(served)
