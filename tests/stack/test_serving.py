"""What callers get through the gateway: the answers that were exported."""

import numpy as np
import pytest
import torch
from PIL import Image
from tests.stack.compose import ROOT, Stack
from tests.stack.models import TRAINED

from regard import Client
from regard.contract.image_input import ImageInput
from regard.export.artifact import Artifact
from regard.models.load import network_of

pytestmark = pytest.mark.stack
GARMENTS = sorted((ROOT / "models" / "sample_images" / "garment").glob("*.png"))
DEVIATION = 1e-4  # of a probability


def test_answers_are_pytorchs(client: Client, garments: Artifact) -> None:
    network, (contract,) = network_of(garments.card), garments.card.inputs
    assert isinstance(contract, ImageInput)
    mean, std = torch.tensor(contract.mean), torch.tensor(contract.std)
    results = client.classify(TRAINED, GARMENTS, top_k=10)
    assert len(results) == len(GARMENTS) == 10
    for file, result in zip(GARMENTS, results, strict=True):
        pixels = contract.fit(np.asarray(Image.open(file).convert("RGB")))
        scaled = (torch.from_numpy(pixels.astype(np.float32) / 255) - mean) / std
        with torch.inference_mode():
            expected = network(scaled.permute(2, 0, 1)[None])[0].softmax(0)
        found = dict(result.top)
        assert [found[label] for label in garments.card.answer.labels] == pytest.approx(
            expected.tolist(), abs=DEVIATION
        )
        assert result.label == garments.card.answer.labels[int(expected.argmax())]


def test_the_smoke_test_passes(whole: Stack) -> None:
    said = whole.compose("--profile", "client", "run", "--rm", "--no-deps", "client")
    assert said.count("answers as it was exported") == 4  # two models, by two protocols
