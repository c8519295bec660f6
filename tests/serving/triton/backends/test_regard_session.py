"""What a real server does on its own time only: a request that was cancelled while it waited, on a session in
this process.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.serving.triton.backends.conftest import Error

CONFIG = {
    "name": "largest",
    "max_batch_size": 4,
    "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": ["-1", "-1", "3"]}],
    "output": [{"name": "label_map", "data_type": "TYPE_UINT8", "dims": ["-1", "-1"]}],
}
ARGS = {"model_instance_kind": "CPU", "model_config": json.dumps(CONFIG)}


class Request:
    def __init__(self, shade: int, *, cancelled: bool = False, wanted: str = "label_map") -> None:
        self.image = np.full((1, 16, 16, 3), shade, np.uint8)
        self.cancelled, self.wanted = cancelled, wanted

    def is_cancelled(self) -> bool:
        return self.cancelled

    def requested_output_names(self) -> set[str]:
        return {self.wanted}


@pytest.fixture
def session(in_stub: Callable[[str], Any]) -> Any:
    """The file, beside that of ONNX Runtime."""
    module = in_stub("regard_session")
    module.OnnxRuntimeGraph = in_stub("onnxruntime_graph").OnnxRuntimeGraph
    return module


def opened(session: Any, config: dict[str, Any]) -> Any:
    return session.GraphSession(config, session.OnnxRuntimeGraph(ARGS, config))


def test_a_cancelled_request_is_not_computed_and_harms_no_other(session: Any) -> None:
    graph = opened(session, CONFIG)
    fed: list[int] = []

    def inputs_of(request: Request) -> dict[str, Any]:
        fed.append(int(request.image[0, 0, 0, 0]))
        if fed[-1] == 9:
            raise session.Refused("image 0 of the request: it is broken", Error.INVALID_ARG)
        return {"image": request.image}

    requests = [
        Request(3),
        Request(4, cancelled=True),
        Request(5),
        Request(6, wanted="logits"),
        Request(9),
    ]
    first, cancelled, third, unknown, broken = graph.answer(requests, inputs_of)
    assert fed == [3, 5, 9]
    assert (first["label_map"] == 3).all()
    assert (third["label_map"] == 5).all()
    assert cancelled == Error("the request was cancelled", Error.CANCELLED)
    assert unknown == Error("unexpected inference output 'logits' for model 'largest'", Error.INVALID_ARG)
    assert broken == Error("image 0 of the request: it is broken", Error.INVALID_ARG)


def test_images_of_no_size_or_of_none_that_the_card_allows(session: Any) -> None:
    contract = {"kind": "image", "min_size": 16, "max_size": 32, "dynamic_size": True}

    def answers(card: dict[str, Any], *sizes: tuple[int, int, int]) -> list[Any]:
        parameters = {"card": {"string_value": json.dumps(card)}}
        graph = opened(session, CONFIG | {"parameters": parameters})
        images = iter([np.zeros((*size, 3), np.uint8) for size in sizes])
        return graph.answer([Request(0) for _ in sizes], lambda request: {"image": next(images)})

    good, *bad = answers(
        {"inputs": [contract]}, (1, 16, 32), (0, 16, 16), (1, 0, 16), (1, 15, 16), (1, 16, 33)
    )
    assert good["label_map"].shape == (1, 16, 32)
    assert [error.code for error in bad] == [Error.INVALID_ARG] * 4
    assert bad[1].message == "input 'image' of shape [1, 0, 16, 3] has no elements"
    assert "16 x 33 (height x width), and the model takes 16 to 32" in bad[3].message
    for card in ({"inputs": [contract | {"dynamic_size": False}]}, {}, {"inputs": []}):
        (answer,) = answers(card, (1, 15, 33))
        assert answer["label_map"].shape == (1, 15, 33)


def test_a_graph_that_fails_on_the_first_image_is_refused(session: Any) -> None:
    graph = opened(session, CONFIG)
    graph.warm_up({"image": np.zeros((1, 16, 16, 3), np.uint8)})
    with pytest.raises(RuntimeError, match="onnx runtime error"):
        graph.warm_up({"image": np.zeros((1, 16, 16), np.uint8)})
    with pytest.raises(RuntimeError, match="onnx runtime error"):
        graph.warm_up({"picture": np.zeros((1, 16, 16, 3), np.uint8)})


def test_memory_is_given_back_where_the_c_library_can(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    for library in (SimpleNamespace(malloc_trim=asked.append), SimpleNamespace()):
        monkeypatch.setattr(session.ctypes, "CDLL", lambda name, library=library: library)
        session.give_back_memory()
    assert asked == [0]


def test_an_answer_that_is_no_number_fails_its_request_alone(
    session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only of a model with a Card: what others mean by infinity is theirs."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Log", ["pixels"], ["probabilities"]),
        ],
        "logarithm",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])],
    )
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "model.onnx")
    monkeypatch.setattr(session.pb_utils, "get_model_dir", lambda: str(tmp_path))
    output = {"name": "probabilities", "data_type": "TYPE_FP32", "dims": ["2"]}
    config = CONFIG | {"output": [output], "parameters": {"card": {"string_value": "{}"}}}

    def answers(config: dict[str, Any]) -> list[Any]:
        requests = [Request(shade, wanted="probabilities") for shade in (1, 0)]
        graph = opened(session, config)
        return graph.answer(requests, lambda request: {"image": request.image[:, 0, :2, 0]})

    good, bad = answers(config)
    assert (good["probabilities"] == 0).all()
    assert bad.code == Error.INTERNAL
    assert "'probabilities' holds NaN or infinity" in bad.message
    _, theirs = answers(CONFIG | {"output": [output]})
    assert np.isinf(theirs["probabilities"]).all()
