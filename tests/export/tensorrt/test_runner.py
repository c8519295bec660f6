"""An engine as a Runner, and its certificates: the library and the driver are stand-ins, and the engine
computes by ONNX Runtime.
"""

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.export.conftest import Exported
from tests.export.tensorrt.test_cuda import Driver

from regard.contract.digest import sha256
from regard.contract.names import IMAGE
from regard.contract.preprocess import Pixels
from regard.errors import ExportError
from regard.export.proof.comparison import ParityError
from regard.export.proof.runner import CannotRun
from regard.export.session import open_session
from regard.export.tensorrt.certify import certify_engine
from regard.export.tensorrt.cuda import Cuda
from regard.export.tensorrt.runner import TensorRtRunner


class Context:
    """Of an engine that takes up to `most` images, whose answers are `wrong` by so much."""

    def __init__(self, listener: Any, model: Path, most: int, wrong: int) -> None:
        self.listener, self.most, self.wrong = listener, most, wrong
        self.session = open_session(str(model), name="the graph")
        self.addresses: dict[str, int] = {}
        self.image = (0,)

    def set_input_shape(self, name: str, shape: Any) -> bool:
        if name != IMAGE or shape[0] > self.most:
            self.listener.log("ERROR", "the shape does not satisfy any optimization profile")
            return False
        self.image = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        batch, height, width, _ = self.image
        return (batch, height, width) if name == "label_map" else (batch, 8, 1, 1)

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 1234
        size = int(np.prod(self.image))
        pixels = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self.addresses[IMAGE]))
        names = ["label_map", "attention_gate"]
        for name, answer in zip(
            names, self.session.run(names, {IMAGE: pixels.reshape(self.image)}), strict=True
        ):
            if name == "label_map":
                answer = ((answer + self.wrong) % 5).astype(np.uint8)
            ctypes.memmove(self.addresses[name], np.ascontiguousarray(answer).ctypes.data, answer.nbytes)
        return True


def library(model: Path, *, most: int = 16, wrong: int = 0, loads: bool = True, room: bool = True) -> Any:
    """A stand-in for `tensorrt`, whose engine answers as the model does."""
    types = {IMAGE: np.uint8, "label_map": np.uint8, "attention_gate": np.float32}

    class Runtime:
        def __init__(self, listener: Any) -> None:
            self.listener = listener

        def deserialize_cuda_engine(self, data: bytes) -> Any:
            if not loads:
                self.listener.log("ERROR", "the version tag does not match")
                return None
            return SimpleNamespace(
                create_execution_context=lambda: Context(self.listener, model, most, wrong) if room else None,
                num_io_tensors=len(types),
                get_tensor_name=lambda place: [*types][place],
                get_tensor_dtype=types.__getitem__,
                get_tensor_mode=lambda name: "in" if name == IMAGE else "out",
            )

    class Logger:
        INTERNAL_ERROR, ERROR = "INTERNAL_ERROR", "ERROR"

    return SimpleNamespace(
        __name__="tensorrt",
        __version__="10.5.0",
        ILogger=Logger,
        Runtime=Runtime,
        TensorIOMode=SimpleNamespace(OUTPUT="out"),
        nptype=lambda kind: kind,
    )


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "model.plan"
    path.write_bytes(b"an engine")
    return path


def runner_of(engine: Path, exported: Exported, **options: Any) -> TensorRtRunner:
    return TensorRtRunner(library(exported.artifact.model, **options), engine, Cuda(Driver()), gpu="A GPU")


def test_it_answers_as_its_graph(engine: Path, exported: Exported, noise: Pixels) -> None:
    runner = runner_of(engine, exported)
    assert (runner.name, runner.sha256) == ("TensorRT 10.5.0 on A GPU", sha256(engine))
    found = runner.run({IMAGE: noise})
    session = open_session(str(exported.artifact.model), name="the graph")
    for name, expected in zip(
        ("label_map", "attention_gate"),
        session.run(["label_map", "attention_gate"], {IMAGE: noise}),
        strict=True,
    ):
        assert found[name].dtype == expected.dtype
        assert np.array_equal(found[name], expected)


def test_shapes_that_it_was_not_built_for(engine: Path, exported: Exported, noise: Pixels) -> None:
    runner = runner_of(engine, exported, most=1)
    for _ in range(2):  # what was said once is not said again
        with pytest.raises(CannotRun, match=r"no image of \(2, 32, 48, 3\): [^;]*any optimization profile$"):
            runner.run({IMAGE: noise})
    assert runner.run({IMAGE: noise[:1]})["label_map"].shape == (1, 32, 48)


def test_engines_that_do_not_load(engine: Path, exported: Exported) -> None:
    with pytest.raises(ExportError, match=r"TensorRT 10\.5\.0 on A GPU does not load .*version tag does not"):
        runner_of(engine, exported, loads=False)
    with pytest.raises(ExportError, match="no room for the largest batch .* lower max_batch or max_size"):
        runner_of(engine, exported, room=False)


def test_certificates_of_one_that_runs(engine: Path, exported: Exported, images: list[Pixels]) -> None:
    answers, maps = certify_engine(
        runner_of(engine, exported),
        exported.artifact,
        exported.artifact.model,
        "float32",
        images=images,
        images_from="samples",
    )
    assert answers.candidate == "TensorRT 10.5.0 on A GPU"
    assert (answers.candidate_sha256, answers.reference_sha256) == (sha256(engine), exported.artifact.sha256)
    assert not any(comparison.traced for comparison in answers.comparisons)
    assert maps.reference.startswith("maps of ONNX Runtime")


@pytest.mark.parametrize("fault", [{"wrong": 1}, {"most": 2}])
def test_one_that_departs_has_none(
    engine: Path, exported: Exported, images: list[Pixels], fault: dict[str, int]
) -> None:
    with pytest.raises(ParityError, match="the engine of tiny (departs from|stops at)"):
        certify_engine(
            runner_of(engine, exported, **fault),
            exported.artifact,
            exported.artifact.model,
            "fp16",
            images=images,
            images_from="samples",
        )
