"""What our `openvino` backend makes of a configuration, in this process."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import openvino
import pytest

ARGS = {"model_instance_kind": "CPU"}
CONFIG = {
    "name": "largest",
    "max_batch_size": 0,
    "default_model_filename": "model.onnx",
    "instance_group": [{"count": 2}],
    "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": ["-1", "-1", "-1", "3"]}],
    "output": [{"name": "label_map", "data_type": "TYPE_UINT8", "dims": ["-1", "-1", "-1"]}],
}


def config(**parameters: str) -> dict[str, Any]:
    return CONFIG | {"parameters": {key: {"string_value": value} for key, value in parameters.items()}}


@pytest.fixture
def graph(in_stub: Callable[[str], Any]) -> Any:
    return in_stub("openvino_graph")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}),
        ({"INFERENCE_NUM_THREADS": "6", "NUM_STREAMS": "2"}, {"INFERENCE_NUM_THREADS": 3, "NUM_STREAMS": 1}),
        ({"INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "numa"}, {"INFERENCE_NUM_THREADS": 1}),
        ({"INFERENCE_NUM_THREADS": "0", "NUM_STREAMS": ""}, {"INFERENCE_NUM_THREADS": 0}),
        ({"HINT_BF16": "yes"}, {"INFERENCE_PRECISION_HINT": "bf16", "ENABLE_CPU_PINNING": False}),
        ({"PERFORMANCE_HINT": "throughput", "TARGET_DEVICE": "CPU"}, {"PERFORMANCE_HINT": "THROUGHPUT"}),
    ],
    ids=["default", "shared out", "fewer than instances", "OpenVINO's choice", "bf16", "throughput"],
)
def test_what_openvino_is_told(graph: Any, parameters: dict[str, str], expected: dict[str, Any]) -> None:
    assert graph.settings_of(config(**parameters)).items() >= expected.items()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"INFERENCE_NUM_THREADS": "many"}, "'INFERENCE_NUM_THREADS' to be a non-negative number, got MANY"),
        ({"NUM_STREAMS": "-1"}, "'NUM_STREAMS' to be AUTO/NUMA/<number>, got -1"),
        ({"HINT_BF16": "NO"}, "'HINT_BF16' to be YES, got NO"),
        ({"PERFORMANCE_HINT": "FAST"}, "to be LATENCY/THROUGHPUT/CUMULATIVE_THROUGHPUT, got FAST"),
        ({"TARGET_DEVICE": "GPU"}, "'TARGET_DEVICE' to be CPU, got GPU"),
    ],
)
def test_parameters_that_the_cpp_backend_refuses(graph: Any, parameters: dict[str, str], words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        graph.OpenVinoGraph(ARGS, config(**parameters))


def test_batches_of_one_size_alone(graph: Any) -> None:
    """As the C++ backend would answer them, unless it pads."""
    batches = CONFIG | {"max_batch_size": 4}
    with pytest.raises(RuntimeError, match=r"takes batches of exactly 4: set it to 0 and put -1 in front"):
        graph.check_batching(batches)
    graph.check_batching(config(ENABLE_BATCH_PADDING="YES") | {"max_batch_size": 4})
    graph.check_batching(CONFIG)


def test_a_graph_on_a_gpu_and_a_file_that_is_not_there(graph: Any) -> None:
    with pytest.raises(RuntimeError, match="OpenVINO runs on the CPU here"):
        graph.OpenVinoGraph({"model_instance_kind": "GPU"}, CONFIG)
    with pytest.raises(RuntimeError, match=r"unable to find '.*model\.xml' for model 'largest'"):
        graph.OpenVinoGraph(ARGS, CONFIG | {"default_model_filename": ""})


def test_answers_and_errors(graph: Any, in_stub: Callable[[str], Any]) -> None:
    opened = graph.OpenVinoGraph(ARGS, CONFIG)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), np.uint8)
    pixels.setflags(write=False)  # as the server may hand them over
    (first,) = opened.run(["label_map"], {"image": pixels})
    (second,) = opened.run(["label_map"], {"image": np.zeros((1, 20, 30, 3), np.uint8)})
    np.testing.assert_array_equal(first, pixels.max(3) % 11)  # not written over
    assert not second.any()
    for wrong in ({"image": pixels[..., :2].copy()}, {"picture": pixels}):
        with pytest.raises(in_stub("regard_session").CannotRun) as caught:
            opened.run(["label_map"], wrong)
        assert "openvino error in running inference : " in str(caught.value)
        assert f"(OpenVINO {openvino.__version__.split('-')[0]})" in str(caught.value)


def test_openvino_that_is_missing_or_too_old(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RuntimeError, match=r"not installed; .*: pip install 'regard\[openvino\]'"):
        graph.OpenVinoGraph(ARGS, CONFIG)
    old = ModuleType("openvino")
    old.__version__ = "2024.3.0-16041-1e3b88e4e3f-releases/2024/3"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino", old)
    with pytest.raises(RuntimeError, match=r"OpenVINO 2024\.3\.0 is older than 2024\.4"):
        graph.OpenVinoGraph(ARGS, CONFIG)
