"""Sessions on a real server, by a network that adds up what it sees: what one is told, what it is refused,
and that none feels another.
"""

import io
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import MessageToJson
from PIL import Image
from tests.serving.repository.repositories import config_of
from tests.serving.triton.tiny_families import LEVELS, summing

from regard.serving.protocol.wire import Fault, Request
from regard.serving.repository import add
from regard.serving.repository.config import to_text
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

IDLE = 0.5  # seconds
ENDPOINTS = ("summing", "summing_image", "calling_image")  # the last as where there is a GPU


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """A server of it in two instances, of one that soon forgets, and of one whose endpoint for images asks
    that for tensors.
    """
    folder = tmp_path_factory.mktemp("sessions")
    add(summing(folder / "summing"), folder / "repository", instances=2)
    add(
        summing(folder / "forgetful", name="forgetful", idle=IDLE),
        folder / "repository",
        instances=1,
        endpoints="tensor",
    )
    repository = folder / "repository"
    add(summing(folder / "calling", name="calling"), repository, instances=1)
    config = config_of(repository / "calling_image")
    config.parameters["compute"].string_value = "model"
    (repository / "calling_image" / "config.pbtxt").write_text(to_text(config))
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(
        folder / "repository", http_port=http, grpc_port=grpc, metrics_port=metrics
    ) as running:
        yield running
        running.stop(grace=0)  # Triton takes seconds to let go what keeps sequences


class Session:
    """One sequence, and what its answers should be."""

    def __init__(self, server: EmbeddedTriton, number: int | str, model: str = "summing") -> None:
        self.server, self.number, self.model = server, number, model
        self.sum = 0

    def step(
        self, shade: int, *, start: bool = False, end: bool = False, size: tuple[int, int] = (8, 8)
    ) -> int:
        """The label of all pixels, after one shade more."""
        pixels = np.full((1, *size, 3), shade, np.uint8)
        inputs: dict[str, Any] = {"image": pixels}
        if self.model.endswith("_image"):
            file = io.BytesIO()
            Image.fromarray(pixels[0]).save(file, "PNG")
            inputs = {"encoded_image": np.array([[file.getvalue()]], np.object_)}
        sequence = {"sequence_id": self.number, "sequence_start": start, "sequence_end": end}
        request = Request(self.model, "", inputs, ("label_map",), parameters=sequence)
        answer = self.server.connection.infer(request, timeout=60).arrays["label_map"]
        assert answer.shape == (1, *size)
        assert (answer == answer[0, 0, 0]).all()
        return int(answer[0, 0, 0])

    def holds(self, shade: int, *, start: bool = False, **options: Any) -> None:
        """A step that is answered as it should be."""
        self.sum = shade if start else self.sum + shade
        assert self.step(shade, start=start, **options) == self.sum % LEVELS


@pytest.mark.parametrize("model", ENDPOINTS)
def test_interleaved_sessions_keep_their_own_state(server: EmbeddedTriton, model: str) -> None:
    """By numbers and by names; the first begins again in the middle, the third is of another size."""
    first, second, third = (Session(server, number, model) for number in (7, "a camera", 8))
    for step in range(8):
        first.holds(3, start=step in (0, 4))
        second.holds(5, start=step == 0)
        third.holds(step, start=step == 0, size=(11, 23))
    for each, size in ((first, (8, 8)), (second, (8, 8)), (third, (11, 23))):
        each.holds(1, end=True, size=size)


@pytest.mark.parametrize("model", ENDPOINTS)
def test_another_size_in_mid_session_changes_nothing(server: EmbeddedTriton, model: str) -> None:
    session = Session(server, 21, model)
    session.holds(2, start=True)
    with pytest.raises(Fault) as caught:
        session.step(9, size=(9, 10))
    # of a call inside the server Triton does not hand the code on
    assert caught.value.code == ("INTERNAL" if model == "calling_image" else "INVALID_ARGUMENT")
    assert "has shape [9, 10, 3], and its steps before had [8, 8, 3]" in caught.value.message
    session.holds(2)
    session.holds(4, start=True, size=(9, 10))


def test_a_step_that_fails_leaves_the_state_as_it_was(server: EmbeddedTriton) -> None:
    session = Session(server, 22)
    session.holds(6, start=True)
    with pytest.raises(Fault, match="INTERNAL") as caught:
        session.step(255)
    assert "the sequence is as it was before this step" in caught.value.message
    session.holds(6)
    with pytest.raises(Fault, match="INTERNAL"):
        session.step(255, start=True)
    with pytest.raises(Fault, match="INVALID_ARGUMENT.*start it again"):
        session.step(1)
    session.holds(1, start=True)


@pytest.mark.parametrize(("number", "words"), [(0, "non-zero"), (99, "must specify the START flag")])
def test_what_is_no_session(server: EmbeddedTriton, number: int, words: str) -> None:
    with pytest.raises(Fault, match="INVALID_ARGUMENT") as caught:
        Session(server, number).step(1)
    assert words in caught.value.message


def test_a_session_that_has_ended(server: EmbeddedTriton) -> None:
    session = Session(server, 23)
    session.holds(1, start=True)
    session.holds(1, end=True)
    with pytest.raises(Fault, match="must specify the START flag"):
        session.step(1)


def test_two_steps_in_flight_are_taken_one_by_one(server: EmbeddedTriton) -> None:
    session = Session(server, 24)
    session.holds(1, start=True)
    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(session.step, [2, 2]))
    assert found == {3, 5}


def test_past_its_idle_limit(server: EmbeddedTriton) -> None:
    """Another session is untouched."""
    idle, other = Session(server, 1, "forgetful"), Session(server, 31)
    idle.holds(3, start=True)
    other.holds(3, start=True)
    refused = None
    for pause in (2, 4, 8):
        time.sleep(pause * IDLE)
        try:
            idle.step(1)
        except Fault as fault:
            refused = fault
            break
    assert refused is not None
    assert "must specify the START flag" in refused.message
    idle.holds(2, start=True)
    other.holds(2)


def test_a_new_version_knows_no_session_of_the_old_one(server: EmbeddedTriton, tmp_path: Path) -> None:
    """At neither endpoint: a step is refused, and counted to nothing."""
    sessions = [Session(server, 51, "calling"), Session(server, 52, "calling_image")]
    for each in sessions:
        each.holds(3, start=True)
    repository = server.repository
    add(summing(tmp_path / "again", name="calling"), repository)
    for name in ("calling", "calling_image"):
        text = MessageToJson(config_of(repository / name), preserving_proto_field_name=True)
        server.connection.load(name, text, timeout=60)
    for each in sessions:
        with pytest.raises(Fault, match="must specify the START flag"):
            each.step(1)
        each.holds(1, start=True)


def test_a_process_that_dies_takes_its_own_sessions_alone(server: EmbeddedTriton) -> None:
    """After the restart they begin again."""
    killed, other = Session(server, 41), Session(server, 42, "summing_image")
    for each in (killed, other):
        each.holds(3, start=True)
    for pid in stubs(server.pid, "summing"):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(Fault):
        killed.step(1)
    other.holds(4)
    server.stop(grace=0)
    server.resume()
    for each in (killed, other):
        with pytest.raises(Fault, match="must specify the START flag"):
            each.step(1)
        each.holds(1, start=True)


def stubs(server: int, model: str) -> list[int]:
    """The processes that a model lives in."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            arguments = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue  # ended meanwhile
        if parent == server and len(arguments) > 1 and Path(arguments[1]).parts[-3] == model:
            found.append(int(entry.name))
    assert found
    return found
