"""Models with state, and models of texts, in this process: graphs of a few nodes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from regard.contract.card import Card, card_from_mapping
from regard.errors import InferenceError, InvalidInput, SessionLost
from regard.export.artifact import Artifact
from regard.serving.client.sync import Client
from regard.serving.local import states
from regard.serving.local.model import local_client

ANY_SIZE = {"resize": "none", "dynamic_size": True, "min_size": 4, "max_size": 64}
COUNTER = {
    "inputs": [{"kind": "image", "height": 8, "width": 8} | ANY_SIZE],
    "answer": {"kind": "label_map", "labels": [f"class {index}" for index in range(10)]},
    "state": {"tensors": [{"name": "count", "dims": [1, -1, -1]}], "idle_seconds": 5},
}
WORDS = ("<pad>", "<unk>", "red", "green", "blue")
READER = {
    "inputs": [{"kind": "tokens", "name": "question", "vocabulary": WORDS, "longest": 4}],
    "answer": {"kind": "classes", "labels": WORDS},
}


def client_of(
    folder: Path,
    card: dict[str, object],
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    **constants: np.ndarray,
) -> Client:
    """A client of a graph that nobody proved."""
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")
    fields = {"name": "net", "origin": {"builder": "net"}} | card
    made: Card = card_from_mapping(fields, source="the test's Card")
    return local_client(Artifact(folder, made, sha256=""))


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Client]:
    """label_map = (red + how many frames of this size came before) mod 10; the count is of each pixel."""
    size, floats = ["B", "H", "W"], TensorProto.FLOAT
    nodes = [
        helper.make_node("Slice", ["image", "zero", "one", "last"], ["red"]),
        helper.make_node("Squeeze", ["red", "last"], ["shade"]),
        helper.make_node("Cast", ["shade"], ["level"], to=floats),
        helper.make_node("Unsqueeze", ["level", "first"], ["plane"]),
        helper.make_node("Mul", ["plane", "none"], ["nothing"]),  # of the frame's size
        helper.make_node("Sub", ["some", "start"], ["goes_on"]),
        helper.make_node("Unsqueeze", ["goes_on", "ends"], ["kept"]),
        helper.make_node("Mul", ["count", "kept"], ["before"]),
        helper.make_node("Add", ["before", "nothing"], ["counted"]),
        helper.make_node("Add", ["counted", "some"], ["next_count"]),
        helper.make_node("Add", ["plane", "counted"], ["sum"]),
        helper.make_node("Squeeze", ["sum", "first"], ["flat"]),
        helper.make_node("Mod", ["flat", "ten"], ["class"], fmod=1),
        helper.make_node("Cast", ["class"], ["label_map"], to=TensorProto.UINT8),
    ]
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.UINT8, [*size, 3]),
        helper.make_tensor_value_info("start", floats, ["B", 1]),
        helper.make_tensor_value_info("count", floats, ["B", 1, "h", "w"]),
    ]
    outputs = [
        helper.make_tensor_value_info("label_map", TensorProto.UINT8, size),
        helper.make_tensor_value_info("next_count", floats, ["B", 1, "H", "W"]),
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "last": np.array([3]),
        "first": np.array([1]),
        "ends": np.array([2, 3]),
        "none": np.float32(0),
        "some": np.float32(1),
        "ten": np.float32(10),
    }
    with client_of(tmp_path, COUNTER, nodes, inputs, outputs, **constants) as client:
        yield client


def plain(shade: int, height: int = 8, width: int = 8) -> np.ndarray:
    return np.full((height, width, 3), shade, np.uint8)


def test_sessions_with_a_state_of_their_own(counter: Client) -> None:
    with counter.session("net") as one, counter.session("net") as other:
        wide = zip(one.segment([plain(0)] * 8), other.segment([plain(5, 8, 12)] * 8), strict=True)
        found = [(int(left.label_map[7, 7]), int(right.label_map[7, 11])) for left, right in wide]
    assert found == [(step, (5 + step) % 10) for step in range(8)]


def test_a_session_past_its_idle_limit(counter: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with counter.session("net") as session, counter.session("net") as other:
        first = list(session.segment([plain(0)]))
        now = states.time.monotonic()
        transport = counter._transport
        monkeypatch.setattr(transport._states, "_clock", lambda: now + 4)  # type: ignore[attr-defined]
        list(other.segment([plain(0)]))
        monkeypatch.setattr(transport._states, "_clock", lambda: now + 6)  # type: ignore[attr-defined]
        with pytest.raises(SessionLost, match="START flag") as lost:
            list(session.segment([plain(0)]))
        assert [*lost.value.done] == first
        assert [int(each.label_map[0, 0]) for each in other.segment([plain(0)])] == [1]


def test_steps_without_a_session(counter: Client) -> None:
    with pytest.raises(InvalidInput, match="ask it in a session"):
        counter.segment("net", plain(0))
    with pytest.raises(InferenceError, match="must specify a correlation ID"):
        counter.infer("net", {"image": plain(0)[None]})


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Client]:
    """The likeliest class is the number of the question's largest word."""
    nodes = [
        helper.make_node("ReduceMax", ["question", "axis"], ["largest"], keepdims=0),
        helper.make_node("OneHot", ["largest", "depth", "values"], ["probabilities"]),
    ]
    inputs = [helper.make_tensor_value_info("question", TensorProto.INT64, ["B", "L"])]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["B", 5])]
    constants = {
        "axis": np.array([1]),
        "depth": np.array(5),
        "values": np.array([0, 1], np.float32),
    }
    with client_of(tmp_path, READER, nodes, inputs, outputs, **constants) as client:
        yield client


def test_texts(reader: Client) -> None:
    texts = ["red", "blue or red", "green"]
    assert [result.label for result in reader.ask("net", texts)] == ["red", "blue", "green"]
    raw = np.array([["red"], ["blue or red"]], np.object_)
    answer = reader.infer("net_text", {"question": np.char.encode(raw.astype(str)).astype(object)})
    assert answer["probabilities"].argmax(axis=1).tolist() == [2, 4]
    with pytest.raises(InferenceError, match="text 1: the text is empty"):
        reader.infer("net_text", {"question": np.array([[b"red"], [b""]], np.object_)})
    with pytest.raises(InferenceError, match="net takes 'question', got"):
        reader.infer("net", {"image": np.zeros((1, 2), np.int64)})
