"""What canaries are sent, and what their failures mean; test_supervisor.py sends them to real servers."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from tests.serving.triton.test_backend import two_outputs

from regard.contract.card import Card
from regard.contract.image_input import ImageInput
from regard.export.artifact import Artifact
from regard.serving.protocol.wire import Fault, Request
from regard.serving.repository import add
from regard.serving.triton import canary
from regard.serving.triton.canary import Canaries, Findings, first_answer
from regard.serving.triton.health import HealthCheck


class Server:
    """As much of a connection as canaries need, to one model, `m`."""

    def __init__(self, config: Mapping[str, Any], answer: Callable[[Request], None]) -> None:
        self.described = {"name": "m", **config}
        self.answer = answer
        self.version = "1"
        self.sent: list[Request] = []

    def index(self, *, timeout: float) -> list[dict[str, str]]:
        return [
            {"name": "m", "version": self.version, "state": "READY"},
            {"name": "m", "version": "7", "state": "UNAVAILABLE"},
            {"name": "other"},
        ]

    def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        return self.described

    def statistics(self, model: str, *, timeout: float) -> list[dict[str, Any]]:
        return [{"inference_stats": {"success": {"count": "3"}}}]

    def infer(self, request: Request, *, timeout: float) -> None:
        self.sent.append(request)
        self.answer(request)

    def sizes(self) -> list[tuple[int, ...]]:
        return [array.shape for request in self.sent for array in request.inputs.values()]


def fails(code: str) -> Callable[[Request], None]:
    def answer(request: Request) -> None:
        raise Fault(code, "so it is")

    return answer


PROVEN = Findings(proven=frozenset({"m"}))


def passes(request: Request) -> None:
    pass


def tensor(dims: list[int], *, batch: int, card: Card | None = None) -> dict[str, Any]:
    """A configuration as gRPC gives it."""
    entry = {"name": "x", "data_type": "TYPE_FP32", "dims": [str(dim) for dim in dims]}
    parameters = {} if card is None else {"card": {"string_value": card.to_json()}}
    return {"max_batch_size": batch, "input": [entry], "parameters": parameters}


def send(canaries: Canaries, server: Server) -> Findings:
    return canaries.send(server)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dims", "batch", "shape"),
    [
        ([3, -1, -1], 8, (1, 3, 32, 32)),
        ([3, -1, -1], 0, (3, 32, 32)),
        ([-1, 3, -1, -1], 0, (1, 3, 32, 32)),
        ([-1], 0, (1,)),
        ([-1], 4, (1, 32)),
        ([5], 0, (5,)),
        ([], 4, (1,)),
    ],
)
def test_what_a_model_without_a_card_is_sent(dims: list[int], batch: int, shape: tuple[int, ...]) -> None:
    server = Server(tensor(dims, batch=batch), passes)
    assert send(Canaries(), server) == PROVEN
    assert server.sizes() == [shape]


def test_a_card_says_the_sizes_and_the_smallest_that_passes_is_kept(largest: Artifact) -> None:
    def picky(request: Request) -> None:
        if request.inputs["x"].shape[1] < 48:
            raise Fault("INTERNAL", "too small")

    server = Server(tensor([-1, -1, 3], batch=4, card=largest.card), picky)
    canaries = Canaries()
    assert send(canaries, server) == send(canaries, server) == PROVEN
    assert server.sizes() == [(1, 16, 16, 3), (1, 48, 64, 3), (1, 48, 64, 3)]


def test_images_are_encoded_at_the_sizes_of_the_card(largest: Artifact) -> None:
    config = tensor([1], batch=4, card=largest.card)
    config["input"][0]["data_type"] = "TYPE_STRING"
    server = Server(config, fails("INTERNAL"))
    assert set(send(Canaries(), server).unproven) == {"m"}
    images = [Image.open(io.BytesIO(request.inputs["x"][0, 0])) for request in server.sent]
    assert [image.size for image in images] == [(16, 16), (64, 48)]
    del config["parameters"]["card"]
    unknown = Server(config, passes)
    assert send(Canaries(), unknown) == Findings()
    assert unknown.sent == []


@pytest.mark.parametrize("code", ["INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED"])
def test_a_model_that_fails_what_it_answered_is_unhealthy(code: str) -> None:
    server, canaries = Server(tensor([5], batch=1), passes), Canaries(deadline=7)
    assert send(canaries, server) == PROVEN
    server.answer = fails(code)
    reason = "no answer to anybody for 7 s" if code == "DEADLINE_EXCEEDED" else "so it is"
    assert send(canaries, server) == Findings(unhealthy={"m": reason})
    assert send(canaries, server) == Findings(unhealthy={"m": reason})
    server.version = "2"  # has answered nothing yet
    assert send(canaries, server) == Findings(unproven={"m": reason})


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "UNAVAILABLE", "NOT_FOUND"])
def test_a_refusal_is_no_fault_of_a_model_that_answered(code: str) -> None:
    server, canaries = Server(tensor([5], batch=1), passes), Canaries()
    send(canaries, server)
    server.answer = fails(code)
    assert send(canaries, server) == PROVEN


def test_an_unproven_model_is_reported_once_and_tried_again_more_and_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(canary.time, "monotonic", lambda: now)
    server, canaries = Server(tensor([5], batch=1), fails("INTERNAL")), Canaries(interval=10)
    tries, reported = [], []
    for now in range(0, 1400, 10):
        before = len(server.sent)
        found = send(canaries, server)
        assert found.unhealthy == {}
        reported += [now] if found.unproven else []
        tries += [now] if len(server.sent) > before else []
    assert reported == [0]
    assert tries == [0, 10, 30, 70, 150, 310, 630, 1230]  # then every ten minutes
    server.answer = passes
    now = 1830
    assert send(canaries, server) == PROVEN
    server.answer = fails("INTERNAL")
    assert set(send(canaries, server).unhealthy) == {"m"}


def test_a_model_that_fails_from_a_restart_on_is_no_reason_for_another() -> None:
    server, canaries = Server(tensor([5], batch=1), passes), Canaries()
    send(canaries, server)
    server.answer = fails("INTERNAL")
    assert set(send(canaries, server).unhealthy) == {"m"}
    canaries.restarted()
    assert set(send(canaries, server).unproven) == {"m"}
    assert send(canaries, server) == Findings()


def test_overload_proves_nothing() -> None:
    server, canaries = Server(tensor([5], batch=1), fails("UNAVAILABLE")), Canaries()
    assert send(canaries, server) == send(canaries, server) == Findings()
    assert len(server.sent) == 2


def test_a_lost_connection_is_the_servers_fault() -> None:
    def lost(request: Request) -> None:
        raise Fault("UNAVAILABLE", "closed", answered=False)

    with pytest.raises(Fault, match="closed"):
        send(Canaries(), Server(tensor([5], batch=1), lost))


@pytest.mark.parametrize(
    ("smallest", "code", "reason"),
    [
        (16, "INTERNAL", None),
        (48, "INTERNAL", None),
        (49, "INTERNAL", "its first inference fails: too small"),
        (49, "UNAVAILABLE", None),
    ],
)
def test_the_first_answer_of_what_has_a_card(
    largest: Artifact, smallest: int, code: str, reason: str | None
) -> None:
    def picky(request: Request) -> None:
        if request.version == "2" and request.inputs["x"].shape[1] < smallest:
            raise Fault(code, "too small")

    server = Server(tensor([-1, -1, 3], batch=4, card=largest.card), picky)
    assert first_answer(server, "m", (1, 2)) == reason  # type: ignore[arg-type]
    guessed = Server(tensor([-1, -1, 3], batch=4), fails("INTERNAL"))
    assert first_answer(guessed, "m", (1, 2)) is None  # type: ignore[arg-type]


def larger_than(folder: Path, side: int) -> Artifact:
    """A "segmenter" that fails on images of less than `side` rows: label_map = red."""
    size = ["batch", "height", "width"]
    folder.mkdir(parents=True)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["image", "row"], ["chosen"], axis=1),
            helper.make_node("Sub", ["chosen", "chosen"], ["nothing"]),
            helper.make_node("Add", ["image", "nothing"], ["same"]),
            helper.make_node("Gather", ["same", "red"], ["label_map"], axis=3),
        ],
        "larger",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [*size, 3])],
        [helper.make_tensor_value_info("label_map", TensorProto.UINT8, size)],
        [
            helper.make_tensor("row", TensorProto.INT64, [1], [side - 1]),
            helper.make_tensor("red", TensorProto.INT64, [], [0]),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9),
        folder / "model.onnx",
    )
    contract = ImageInput(height=48, width=48, resize="none", dynamic_size=True, min_size=16)
    return Artifact(folder, contract_card(contract), "0" * 64)


def contract_card(contract: ImageInput) -> Card:
    return Card.model_validate(
        {
            "name": "larger",
            "inputs": [contract.model_dump()],
            "answer": {"kind": "label_map", "labels": ["a", "b"]},
            "origin": {"builder": "tests:larger"},
        }
    )


def test_on_a_real_server(tmp_path: Path, embedded: Any, connect: Any) -> None:
    repository = two_outputs(tmp_path / "repository")  # takes three columns, which nothing says
    add(larger_than(tmp_path / "larger", 40), repository, instances=1)
    with embedded(repository) as server:
        health = HealthCheck(server, canary=0.0)
        first, second = health.look(), health.look()
        assert (first.fault, second.fault) == (None, None)
        assert set(first.unproven) == {"two"}
        assert "onnx runtime error" in first.unproven["two"]
        assert second.unproven == {}
        with connect(server.grpc_url) as infer:
            infer("two", np.ones((1, 3), np.float32), input="x")


def test_an_ensembles_canary_proves_its_steps() -> None:
    steps = [{"model_name": name} for name in ("first", "second")]

    class Both(Server):
        def index(self, *, timeout: float) -> list[dict[str, str]]:
            return [{"name": name, "version": "1", "state": "READY"} for name in ("first", "m")]

        def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
            ensemble = {"ensemble_scheduling": {"step": steps}} if model == "m" else {}
            return {**self.described, "name": model, **ensemble}

    assert send(Canaries(), Both(tensor([5], batch=1), passes)).proven == {"first", "second", "m"}
