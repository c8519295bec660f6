"""The models that the faults are planted under, and what they must answer, computed apart from them.

`largest` and `colour` cost next to nothing, so that the load is one of requests; `slow` computes for some
milliseconds on one core, so that a queue can be filled.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tests.serving.conftest import CLASSES, largest_channel, mean_colour, write

from regard.contract.answers import Classes
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.contract.preprocess import Pixels
from regard.contract.results import Classification, Segmentation
from regard.export.artifact import Artifact
from regard.serving.repository import add

LARGEST, COLOUR, SLOW = "largest", "colour", "slow"
ENDPOINTS = (LARGEST, f"{LARGEST}_image", COLOUR, f"{COLOUR}_image", SLOW)
BIAS = 1  # of the second version of `largest`
SIDE, ROUNDS = 384, 12  # of the products that `slow` computes


def pixels(seed: int, height: int, width: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def png(image: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def is_largest(results: list[Segmentation], image: Pixels, biases: tuple[int, ...] = (0,)) -> bool:
    """Whether that is the answer of `largest` to an image, by a version with one of the biases."""
    (result,) = results
    return any(
        np.array_equal(result.label_map, (image.max(axis=2) + np.uint8(bias)) % CLASSES) for bias in biases
    )


def is_colour(results: list[Classification], image: Pixels) -> bool:
    (result,) = results
    logits = image.mean(axis=(0, 1), dtype=np.float64) / 32
    expected = np.exp(logits - logits.max())
    expected /= expected.sum()
    names = dict(zip(("red", "green", "blue"), expected, strict=True))
    return len(result.top) == 3 and all(abs(names[label] - told) < 1e-5 for label, told in result.top)


def artifacts(folder: Path) -> dict[str, Artifact]:
    """By folder's name: the three models, and the second version of `largest`."""
    return {
        LARGEST: largest_channel(folder / LARGEST),
        COLOUR: mean_colour(folder / COLOUR),
        SLOW: slow(folder / SLOW),
        "biased": largest_channel(folder / "biased", bias=BIAS),
    }


def repository_of(made: dict[str, Artifact], folder: Path) -> Path:
    """A model repository of the three."""
    for name in (LARGEST, COLOUR, SLOW):
        add(made[name], folder, instances=1, threads=1, endpoints="tensor" if name == SLOW else "both")
    return folder


def slow(folder: Path) -> Artifact:
    """A "classifier" in two classes for 8x8 images, by products of large matrices."""
    folder.mkdir(parents=True)
    drawn = np.random.default_rng(0).normal(size=(SIDE, SIDE)) / np.sqrt(SIDE)
    constants: dict[str, npt.NDArray[Any]] = {
        "axes": np.array([1, 2, 3], np.int64),
        "shape": np.array([-1, 1, 1], np.int64),
        "all": np.array([1, 2], np.int64),
        "matrix": drawn.astype(np.float32),
        "pair": np.array([[1e-3, -1e-3]], np.float32),
        "flat": np.array([-1, 1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["number"]),
        helper.make_node("Mul", ["number", "matrix"], ["product_0"]),
    ]
    for index in range(ROUNDS):
        nodes += [
            helper.make_node("MatMul", [f"product_{index}", "matrix"], [f"next_{index}"]),
            helper.make_node("Tanh", [f"next_{index}"], [f"product_{index + 1}"]),
        ]
    nodes += [
        helper.make_node("ReduceMean", [f"product_{ROUNDS}", "all"], ["one"], keepdims=0),
        helper.make_node("Reshape", ["one", "flat"], ["column"]),
        helper.make_node("MatMul", ["column", "pair"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    card = Card(
        name=SLOW,
        inputs=(ImageInput(height=8, width=8, resize="stretch", max_batch=8),),
        answer=Classes(labels=("even", "odd")),
        origin=Origin(builder="tests:slow"),
    )
    return write(folder, graph, card)
