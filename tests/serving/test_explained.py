"""An explanation on the wire: exported, in the repository, and from the real server as from PyTorch."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import typer
from PIL import Image
from tests.exports import Exports
from tests.serving.conftest import network_and_card
from typer.testing import CliRunner

from regard.contract.image_input import ImageInput
from regard.contract.preprocess import decode
from regard.models.explain.grad_cam import grad_cam
from regard.models.samples import sample_images
from regard.serving.cli.predict import predict
from regard.serving.client.sync import Client
from regard.serving.repository import add
from regard.serving.repository.config import read_config
from regard.serving.triton.server import EmbeddedTriton

COMMAND = typer.Typer()
COMMAND.command()(predict)


def test_grad_cam_is_served_through_both_endpoints(
    tmp_path: Path, exports: Exports, embedded: Callable[..., EmbeddedTriton]
) -> None:
    network, card = network_and_card(
        "explained",
        "acol_resnet18",
        {"width": 16, "inner": 16},
        contract=ImageInput(height=64, width=96, resize="stretch", max_batch=4),
        labels=5,
    )
    artifact = exports.of(network, card, sample_images(card), explain="gradcam")
    add(artifact, tmp_path / "repository", instances=1)
    for endpoint in ("explained", "explained_image"):
        outputs = {
            tensor.name: list(tensor.dims)
            for tensor in read_config(tmp_path / "repository" / endpoint / "config.pbtxt").output
        }
        assert outputs == {"probabilities": [5], "class_activation_map": [64, 96]}

    batch = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (card.input.mean, card.input.std))
    with torch.no_grad():
        logits, maps = grad_cam(network, (torch.from_numpy(batch).permute(0, 3, 1, 2) / 255 - mean) / std)
    with embedded(tmp_path / "repository") as server, Client(server.grpc_url) as client:
        answer = client.infer("explained", {"image": batch})
        encoded = np.array([[png(image)] for image in batch], dtype=object)
        through_image_endpoint = client.infer("explained_image", {"encoded_image": encoded})
        (typed, *_) = client.classify("explained", list(batch), top_k=1)
        assert typed.heat is None
        with Client(server.http_url, protocol="http") as over_http:
            warm = [
                each.heat.values
                for asking in (client, over_http)
                for images in (list(batch), [png(image) for image in batch])
                for each in asking.classify("explained", images, heat=True)
                if each.heat is not None
            ]
        done = CliRunner().invoke(
            COMMAND, ["explained", _saved(batch[0], tmp_path), "--url", server.grpc_url, "-o", str(tmp_path)]
        )
    assert done.exit_code == 0
    assert (tmp_path / "image_heat.png").is_file()
    np.testing.assert_allclose(np.stack(warm), np.tile(answer["class_activation_map"], (4, 1, 1)), rtol=1e-4)
    np.testing.assert_allclose(answer["class_activation_map"], maps.numpy(), atol=1e-4 * maps.max().item())
    np.testing.assert_allclose(
        through_image_endpoint["class_activation_map"], maps.numpy(), atol=1e-4 * maps.max().item()
    )
    np.testing.assert_allclose(answer["probabilities"], logits.softmax(dim=1).numpy(), atol=1e-5)
    assert typed.label == f"label {logits[0].argmax().item()}"


def _saved(pixels: np.ndarray, folder: Path) -> str:
    (folder / "image.png").write_bytes(png(pixels))
    return str(folder / "image.png")


def png(pixels: np.ndarray) -> bytes:
    """A lossless file of the pixels."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    assert np.array_equal(decode(stream.getvalue()), pixels)
    return stream.getvalue()
