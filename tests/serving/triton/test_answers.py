"""The server's answers are the network's, through both endpoints."""

import base64
import io
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from PIL import Image

from regard.contract.preprocess import Pixels, decode, fit
from regard.contract.reading import card_from_json


def pixels(height: int, width: int, *, seed: int = 0, batch: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)


def encoded(image: Pixels, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def files(*images: bytes) -> Any:
    return np.array([[image] for image in images], dtype=object)


def by_torch(served: Any, name: str, images: Pixels) -> Any:
    """The network's own answer to RGB pixels (B, H, W, 3)."""
    contract = served.cards[name].input
    scaled = (torch.tensor(images).float() / 255 - torch.tensor(contract.mean)) / torch.tensor(contract.std)
    with torch.inference_mode():
        logits = served.networks[name](scaled.permute(0, 3, 1, 2))
    return (
        logits.softmax(1).numpy()
        if served.cards[name].task == "classification"
        else logits.argmax(1).to(torch.uint8).numpy()
    )


def ask_json(served: Any, *images: str) -> dict[str, Any]:
    """What a request in JSON answers at the classifier's endpoint for images: its body, or an error."""
    tensor = {"name": "encoded_image", "datatype": "BYTES", "shape": [len(images), 1], "data": images}
    request = urllib.request.Request(
        f"http://{served.http_url}/v2/models/{served.classifier}_image/infer",
        data=json.dumps({"inputs": [tensor]}).encode(),
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return {"status": response.status, **json.loads(response.read())}
    except HTTPError as error:
        with error:
            return {"status": error.code, **json.loads(error.read())}


def data_uri(image: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def test_image_files_in_json(served: Any, connect: Any) -> None:
    """JSON holds no file's bytes: a data URI stands for them, and the answer is JSON too."""
    images = [encoded(image) for image in pixels(40, 30, batch=2)]
    with connect(served.grpc_url) as infer:
        expected = infer(f"{served.classifier}_image", files(*images), input="encoded_image").as_numpy(
            "probabilities"
        )
    answer = ask_json(served, *map(data_uri, images))
    (output,) = answer["outputs"]
    np.testing.assert_allclose(np.reshape(output["data"], output["shape"]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ("data:image/png;base64,AAAAA", "the data URI is not base64"),
        ("data:image/png;base64,AAAA", "the 3 bytes are not a JPEG, PNG or WebP image"),
        ("AAAA", "the 4 bytes are not a JPEG"),
    ],
)
def test_image_files_in_json_that_are_none(served: Any, sent: str, message: str) -> None:
    answer = ask_json(served, sent)
    assert answer["status"] == 400
    assert message in answer["error"]


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_classifier_by_tensor(served: Any, connect: Any, batch: int) -> None:
    images = pixels(28, 28, batch=batch)
    with connect(served.grpc_url) as infer:
        answer = infer(served.classifier, images).as_numpy("probabilities")
    np.testing.assert_allclose(answer, by_torch(served, served.classifier, images), atol=1e-5)


@pytest.mark.parametrize(("height", "width", "batch"), [(64, 96, 1), (71, 45, 2), (32, 130, 4)])
def test_segmenter_by_tensor(served: Any, connect: Any, height: int, width: int, batch: int) -> None:
    images = pixels(height, width, batch=batch)
    with connect(served.grpc_url) as infer:
        answer = infer(served.segmenter, images).as_numpy("label_map")
    assert answer.shape == (batch, height, width)
    # equal but for ties of random weights
    assert (answer == by_torch(served, served.segmenter, images)).mean() > 0.999


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_classifier_by_file(served: Any, connect: Any, kind: str) -> None:
    image = encoded(pixels(50, 37)[0], kind)
    contract = served.cards[served.classifier].input
    fitted = fit(
        decode(image),
        resize=contract.resize,
        height=contract.height,
        width=contract.width,
        interpolation=contract.interpolation,
        crop=contract.crop,
    )
    with connect(served.grpc_url) as infer:
        answer = infer(f"{served.classifier}_image", files(image, image), input="encoded_image").as_numpy(
            "probabilities"
        )
    np.testing.assert_allclose(answer[0], by_torch(served, served.classifier, fitted[None])[0], atol=1e-5)
    np.testing.assert_array_equal(answer[0], answer[1])


def test_segmenter_by_file(served: Any, connect: Any) -> None:
    image = pixels(64, 80)
    with connect(served.grpc_url) as infer:
        answer = infer(f"{served.segmenter}_image", files(encoded(image[0])), input="encoded_image").as_numpy(
            "label_map"
        )
    assert (answer == by_torch(served, served.segmenter, image)).mean() > 0.999


@pytest.mark.parametrize("endpoint", ["", "_image"])
def test_labels_by_the_classification_extension(served: Any, connect: Any, endpoint: str) -> None:
    images = pixels(28, 28)
    best = by_torch(served, served.classifier, images)[0].argsort()[::-1][:2]
    request = files(encoded(images[0])) if endpoint else images
    with connect(served.grpc_url) as infer:
        wanted = [triton.InferRequestedOutput("probabilities", class_count=2)]
        name = "encoded_image" if endpoint else "image"
        answer = infer(served.classifier + endpoint, request, input=name, outputs=wanted).as_numpy(
            "probabilities"
        )
    assert [text.decode().split(":")[1:] for text in answer[0]] == [
        [str(index), f"label {index}"] for index in best
    ]


def test_both_endpoints_carry_the_card(served: Any) -> None:
    with triton.InferenceServerClient(served.grpc_url) as client:
        for name, card in served.cards.items():
            for endpoint in (name, f"{name}_image"):
                text = client.get_model_config(endpoint).config.parameters["card"].string_value
                assert card_from_json(text, source=endpoint) == card


def test_requests_of_different_sizes_at_once_get_their_own_answers(served: Any, connect: Any) -> None:
    images = [pixels(32 + 8 * (index % 3), 40, seed=index, batch=1 + index % 2) for index in range(24)]
    with connect(served.grpc_url) as infer, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda each: infer(served.segmenter, each).as_numpy("label_map"), images))
    for image, answer in zip(images, answers, strict=True):
        assert (answer == by_torch(served, served.segmenter, image)).mean() > 0.999


def test_requests_were_batched(served: Any, connect: Any) -> None:
    """The statistics show batches larger than any request, so the test above went through the splitting of
    answers.
    """
    with connect(served.grpc_url) as infer, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda seed: infer(served.segmenter, pixels(128, 128, seed=seed)), range(48)))
    with triton.InferenceServerClient(served.grpc_url) as client:
        statistics = client.get_inference_statistics(served.segmenter).model_stats[0]
    assert statistics.execution_count < statistics.inference_count
