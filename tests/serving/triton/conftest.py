"""Models of a few nodes, whose right answers are one line of numpy: for tests of the server itself, which need no real network."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import tritonclient.grpc as triton
from onnx import TensorProto, helper, numpy_helper

from regard.export.artifact import Artifact
from regard.models.card import Card, InputContract, Origin, OutputContract
from regard.serving.repository import add
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

Infer = Callable[..., Any]
CLASSES = 11


def largest_channel(folder: Path, *, bias: int = 0) -> Artifact:
    """A "segmenter" for any size: label_map = (largest channel + bias) mod CLASSES, and the same for its second output, `bias_map`."""
    folder.mkdir(parents=True)
    constants = {"axis": np.array([3], np.int64), "bias": np.array(bias, np.uint8), "classes": np.array(CLASSES, np.uint8)}
    size = ["batch", "height", "width"]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["image", "axis"], ["largest"], keepdims=0),
            helper.make_node("Mod", ["largest", "classes"], ["remainder"]),
            helper.make_node("Add", ["remainder", "bias"], ["label_map"]),
        ],
        "largest_channel",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [*size, 3])],
        [helper.make_tensor_value_info("label_map", TensorProto.UINT8, size)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    card = Card(
        name="largest",
        task="segmentation",
        input=InputContract(height=48, width=64, resize="none", dynamic_size=True, min_size=16, max_size=128, max_batch=4),
        output=OutputContract(labels=tuple(f"label {index}" for index in range(CLASSES))),
        origin=Origin(builder="tests:largest_channel"),
    )
    return write(folder, graph, card)


def mean_colour(folder: Path, **contract: Any) -> Artifact:
    """A "classifier" in three classes for 8x8 images: probabilities = softmax(mean colour / 32)."""
    folder.mkdir(parents=True)
    constants = {"axes": np.array([1, 2], np.int64), "scale": np.array(32, np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
            helper.make_node("Div", ["mean", "scale"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "mean_colour",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    card = Card(
        name="colour",
        task="classification",
        input=InputContract(**({"height": 8, "width": 8, "resize": "stretch", "max_batch": 8} | contract)),
        output=OutputContract(labels=("red", "green", "blue")),
        origin=Origin(builder="tests:mean_colour"),
    )
    return write(folder, graph, card)


def write(folder: Path, graph: onnx.GraphProto, card: Card) -> Artifact:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    (folder / "card.json").write_text(card.to_json())
    return Artifact(folder, card, "0" * 64)


@pytest.fixture
def largest(tmp_path: Path) -> Artifact:
    return largest_channel(tmp_path / "artifacts" / "largest")


@pytest.fixture
def colour(tmp_path: Path) -> Artifact:
    return mean_colour(tmp_path / "artifacts" / "colour")


@pytest.fixture
def biased(tmp_path: Path) -> Artifact:
    """A new version of `largest`: its labels are one higher."""
    return largest_channel(tmp_path / "artifacts" / "biased", bias=1)


@pytest.fixture
def repository(tmp_path: Path, largest: Artifact, colour: Artifact) -> Path:
    """A repository of both, one instance each."""
    for artifact in (largest, colour):
        add(artifact, tmp_path / "repository", instances=1)
    return tmp_path / "repository"


@pytest.fixture
def embedded() -> Callable[..., EmbeddedTriton]:
    """`embedded(repository, **options)`: a server on free ports, not yet started."""

    def make(repository: Path, **options: Any) -> EmbeddedTriton:
        http, grpc, metrics = free_ports(3)
        return EmbeddedTriton(repository, **({"http_port": http, "grpc_port": grpc, "metrics_port": metrics} | options))

    return make


@pytest.fixture
def connect() -> Callable[[str], AbstractContextManager[Infer]]:
    """`with connect(grpc_url) as infer: infer(model, array, *, input="image", **options)` returns tritonclient's result."""

    @contextmanager
    def open_(url: str) -> Iterator[Infer]:
        with triton.InferenceServerClient(url) as client:

            def infer(model: str, array: npt.NDArray[Any], *, input: str = "image", kind: str | None = None, **options: Any) -> Any:
                kinds = {np.dtype(np.uint8): "UINT8", np.dtype(np.float32): "FP32", np.dtype(object): "BYTES"}
                tensor = triton.InferInput(input, list(array.shape), kind or kinds[array.dtype])
                tensor.set_data_from_numpy(array)
                return client.infer(model, [tensor], **({"client_timeout": 60} | options))

            yield infer

    return open_
