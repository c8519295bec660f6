"""A watching server takes new versions and models while it answers, and no request fails; what proves to be
broken gives way to what answered before.
"""

import io
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from PIL import Image
from tests.serving.repository.former_layout import add_as_before
from tritonclient.utils import InferenceServerException

from regard.errors import InvalidInput, ServerError
from regard.export.artifact import Artifact
from regard.serving.repository import add, remove, renew
from regard.serving.triton.server import EmbeddedTriton
from regard.serving.triton.supervisor import Supervisor

PIXELS = np.full((1, 16, 16, 3), 5, np.uint8)


def png(pixels: Any) -> Any:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return np.array([[file.getvalue()]], dtype=object)


class Stream(threading.Thread):
    """Requests one after the other, until stopped; keeps the answers that differ from the last, and every
    failure.
    """

    def __init__(self, send: Callable[[], int]) -> None:
        super().__init__()
        self.send, self.stopped = send, threading.Event()
        self.sent, self.answers, self.failures = 0, list[int](), list[str]()

    def run(self) -> None:
        while not self.stopped.wait(0.005):
            try:
                answer = self.send()
            except InferenceServerException as error:
                self.failures.append(str(error))
                continue
            self.sent += 1
            if self.answers[-1:] != [answer]:
                self.answers.append(answer)


def wait_for(done: Callable[[], bool], what: str, *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@contextmanager
def supervised(server: EmbeddedTriton) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=Supervisor(server, look=0.2, update=0.2).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def streaming(connect: Any, url: str) -> Iterator[list[Stream]]:
    """Requests to both endpoints of `largest`; none of them fails."""
    image = png(PIXELS[0])
    with connect(url) as infer:

        def ask(model: str, *arguments: Any, **options: Any) -> int:
            return int(infer(model, *arguments, **options).as_numpy("label_map")[0, 0, 0])

        streams = [
            Stream(lambda: ask("largest", PIXELS)),
            Stream(lambda: ask("largest_image", image, input="encoded_image")),
        ]
        for stream in streams:
            stream.start()
        try:
            wait_for(lambda: all(stream.answers for stream in streams), "the first version answers")
            yield streams
        finally:
            for stream in streams:
                stream.stopped.set()
            for stream in streams:
                stream.join()
        for stream in streams:
            assert stream.failures == []
            assert stream.sent > 20


def test_new_versions_and_models_under_load(
    repository: Path, largest: Artifact, biased: Artifact, colour: Artifact, embedded: Any, connect: Any
) -> None:
    image = png(PIXELS[0])
    with (
        embedded(repository, watch=True) as server,
        supervised(server),
        connect(server.grpc_url) as infer,
        streaming(connect, server.grpc_url) as streams,
    ):
        assert add(biased, repository, name="largest").version == 2
        wait_for(lambda: all(stream.answers[-1] == 6 for stream in streams), "the second version answers")
        add(colour, repository, name="another", instances=1)

        def answers() -> bool:
            try:
                infer("another_image", image, input="encoded_image")
            except InferenceServerException:
                return False
            return True

        wait_for(answers, "a new model answers")
        remove(repository, "largest", version=2)
        wait_for(
            lambda: all(stream.answers[-1] == 5 for stream in streams), "the first version answers again"
        )
        remove(repository, "another")
        wait_for(lambda: not answers(), "the removed model is gone")
        assert server.alive
    for stream in streams:
        assert stream.answers == [5, 6, 5]


def test_what_fails_gives_way_to_what_answered_before(
    repository: Path, biased: Artifact, embedded: Any, connect: Any
) -> None:
    told: list[str] = []
    damaged: set[str] = set()

    def check(repository: Path, name: str) -> None:
        if name in damaged:
            raise InvalidInput("its manifest is another's")

    def judge(name: str, versions: tuple[int, ...]) -> str | None:
        if versions != (2,):
            return None
        stream = streams[name == "largest_image"]
        wait_for(lambda: stream.answers == [5, 6], "it answers while it is judged")
        return "its golden is another"

    options = {"watch": True, "strict": False, "check": check, "judge": judge, "report": told.append}
    with embedded(repository, **options) as server:
        with streaming(connect, server.grpc_url) as streams:
            add(biased, repository, name="largest")
            server.update()
            assert server.served["largest"] == (1,)  # it was there for the first time
            server.update()
            assert server.served["largest"] == (1,)
            for name in ("largest", "largest_image"):
                refusal = f"{name}: version 2 refused: its golden is another; served instead: version 1"
                assert refusal in told
            shutil.copytree(repository / "largest" / "1", repository / "largest" / "3")
            (repository / "largest" / "3" / "model.onnx").write_bytes(b"no graph")
            server.update(at_once=True)
            assert told[-1].startswith("largest: version 3 refused: onnx runtime error 7: ")
            assert told[-1].endswith("; served instead: version 1")
            damaged.add("largest")
            (repository / "largest" / "4").mkdir()
            server.update(at_once=True)
            assert told[-1] == "largest refused: its manifest is another's; served instead: version 1"
            wait_for(
                lambda: all(stream.answers == [5, 6, 5] for stream in streams), "the first version answers"
            )
        said = len(told)
        served = server.served
        server.stop()
        server.resume()
        assert server.served == served
        assert sorted(told[said:]) == [f"{name}: version 1 loaded" for name in sorted(served)]
        with connect(server.grpc_url) as infer:
            assert infer("largest", PIXELS).as_numpy("label_map")[0, 0, 0] == 5


def test_a_model_that_is_being_copied_waits(
    tmp_path: Path, repository: Path, embedded: Any, connect: Any
) -> None:
    told: list[str] = []
    served = tmp_path / "served"
    served.mkdir()
    with embedded(served, watch=True, report=told.append) as server:
        (served / "colour" / "1").mkdir(parents=True)
        graph = (repository / "colour" / "1" / "model.onnx").read_bytes()
        (served / "colour" / "1" / "model.onnx").write_bytes(graph[:100])
        server.update()
        assert told == []
        server.update()
        assert told == ["colour has no config.pbtxt yet; waiting for it"]
        for file in ("config.pbtxt", "labels.txt"):
            shutil.copy(repository / "colour" / file, served / "colour")
            server.update()
        (served / "colour" / "1" / "model.onnx").write_bytes(graph)
        server.update()
        assert len(told) == 1
        server.update()
        server.update()
        assert told[1:] == ["colour: version 1 loaded"]
        shutil.copytree(served / "colour" / "1", served / "colour" / "2")
        (served / "colour" / "2" / "model.onnx").write_bytes(graph[:100])
        with pytest.raises(ServerError, match=r"model 'colour': onnx runtime error"):
            server.update(at_once=True)  # the server is strict
        with connect(server.grpc_url) as infer:
            infer("colour", np.zeros((1, 8, 8, 3), np.uint8))
        served.rename(tmp_path / "elsewhere")
        server.update()
        server.update()
        assert server.served == {"colour": (1,)}
        (tmp_path / "elsewhere").rename(served)
        shutil.rmtree(served / "colour")
        server.update()
        server.update()
        assert told[-1] == "colour: version 1 unloaded"
        assert server.served == {}


def test_a_served_repository_is_not_changed_by_the_server(repository: Path, embedded: Any) -> None:
    """Or a watching server would take its own traces for changes, and load models twice."""

    def tree() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in repository.rglob("*")}

    before = tree()
    with embedded(repository, watch=True):
        pass
    assert tree() == before


def test_a_former_model_is_renewed_while_it_is_served(
    tmp_path: Path, largest: Artifact, biased: Artifact, embedded: Any, connect: Any
) -> None:
    """Image files are refused for the moment between the former endpoint and the present one."""
    repository = tmp_path / "repository"
    add_as_before(largest, repository=repository, name="largest")
    image = png(PIXELS[0])
    with embedded(repository, watch=True) as server, connect(server.grpc_url) as infer:

        def answer() -> int:
            result = infer("largest_image", image, input="encoded_image")
            return int(result.as_numpy("label_map")[0, 0, 0])

        def backend() -> str:
            with triton.InferenceServerClient(server.grpc_url) as client:
                return str(client.get_model_config("largest_image").config.backend)

        assert (answer(), backend()) == (5, "")
        stream = Stream(answer)
        stream.start()
        try:
            assert renew(repository) == ("largest",)
            server.update(at_once=True)
            assert backend() == "regard_image"
            assert add(biased, repository, name="largest").version == 2
            server.update(at_once=True)
            wait_for(lambda: stream.answers[-1:] == [6], "a new version answers")
        finally:
            stream.stopped.set()
            stream.join()
        assert stream.answers == [5, 6]
