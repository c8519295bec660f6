"""A watching server takes new versions and models while it answers, and no request fails."""

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from PIL import Image
from tests.serving.repository.former_layout import add_as_before
from tritonclient.utils import InferenceServerException

from regard.export.artifact import Artifact
from regard.serving.repository import add, remove, renew

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


def test_new_versions_and_models_under_load(
    repository: Path, largest: Artifact, biased: Artifact, colour: Artifact, embedded: Any, connect: Any
) -> None:
    with embedded(repository, watch=True) as server, connect(server.grpc_url) as infer:
        image = png(PIXELS[0])
        streams = [
            Stream(lambda: int(infer("largest", PIXELS).as_numpy("label_map")[0, 0, 0])),
            Stream(
                lambda: int(
                    infer("largest_image", image, input="encoded_image").as_numpy("label_map")[0, 0, 0]
                )
            ),
        ]
        for stream in streams:
            stream.start()
        try:
            wait_for(lambda: all(stream.answers == [5] for stream in streams), "the first version answers")
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
        finally:
            for stream in streams:
                stream.stopped.set()
            for stream in streams:
                stream.join()
        for stream in streams:
            assert stream.failures == []
            assert stream.answers == [5, 6, 5]
            assert stream.sent > 20
        assert server.alive


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
            wait_for(lambda: backend() == "regard_image", "the endpoint is the present one")
            assert add(biased, repository, name="largest").version == 2
            wait_for(lambda: stream.answers[-1:] == [6], "a new version answers")
        finally:
            stream.stopped.set()
            stream.join()
        assert stream.answers == [5, 6]
