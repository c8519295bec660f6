"""On a real server without a GPU: an engine whose graph serves in its place, and TensorRT as an accelerator
that is not there; both answer, and both say so.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.serving.conftest import largest_channel, mean_colour, photo
from tests.serving.repository.plans import with_engine
from tests.serving.repository.repositories import tree
from typer.testing import CliRunner

from regard.serving.cli.app import app
from regard.serving.client.sync import Client
from regard.serving.local.model import LocalModel
from regard.serving.repository import add
from regard.serving.triton.backends.files import EMBEDDED
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton
from regard.serving.verify.served import verify_served

BY_THE_GRAPH = "computed by ONNX Runtime, not by its engine: this server has no `tensorrt` backend"
ON_THE_CPU = "version 1 computes on the CPU: the instance has no GPU, which TensorRT needs"


@dataclass(frozen=True)
class Scene:
    """A running server, what it reported, and what lay in its repository before it was started."""

    server: EmbeddedTriton
    told: list[str]
    before: dict[str, bytes]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("engines")
    repository = folder / "repository"
    add(with_engine(mean_colour(folder / "colour")), repository, backend="tensorrt", batching=False)
    segmenter = largest_channel(folder / "largest")
    add(segmenter, repository, accelerator="tensorrt", batching=False, instances=2)
    before, told = tree(repository), list[str]()
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(
        repository, http_port=http, grpc_port=grpc, metrics_port=metrics, report=told.append
    ) as server:
        yield Scene(server, told, before)
    assert [path.name for path in folder.glob(".*")] == []  # what it told goes with it


def show(scene: Scene, name: str, *options: str) -> str:
    arguments = ["show", name, "--repository", str(scene.server.repository), *options]
    return CliRunner().invoke(app, arguments, catch_exceptions=False).stdout


def test_it_is_told_what_computes_and_why(scene: Scene) -> None:
    """Once for each endpoint: the one for images computes by itself where there is no GPU."""
    assert "colour: version 1 loaded" in scene.told
    notes = [line for line in scene.told if "comput" in line]
    log = scene.server.log_file.read_text(errors="replace")
    assert log.count(f"regard: model 'largest' {ON_THE_CPU}") == 1  # of two instances
    assert sorted(notes) == [
        f"colour: {BY_THE_GRAPH}",
        f"largest: {ON_THE_CPU}",
        f"largest_image: {ON_THE_CPU}",
    ]
    assert scene.server.notes == {
        "colour": (BY_THE_GRAPH,),
        "largest": (ON_THE_CPU,),
        "largest_image": (ON_THE_CPU,),
    }


def test_both_endpoints_answer_under_the_models_name(scene: Scene) -> None:
    for name in ("colour", "largest"):
        done = verify_served(scene.server.connection, name, repository=scene.server.repository)
        assert done.passed
        assert {check.endpoint for check in done.checks} == {"tensor", "image"}
    pixels = photo(0, 8, 8)
    local = LocalModel(scene.server.repository.parent / "colour")
    (expected,) = local.client.classify(local.name, [pixels])
    with Client(scene.server.grpc_url) as client:
        (found,) = client.classify("colour", [pixels])
    assert found.top[0][0] == expected.top[0][0]
    config = scene.server.connection.config("colour", "", timeout=60)
    assert (config["backend"], config["default_model_filename"]) == ("onnxruntime", "model.onnx")
    assert "tensorrt" not in EMBEDDED.backends


def test_nothing_in_the_repository_changes(scene: Scene) -> None:
    assert tree(scene.server.repository) == scene.before


def test_show_says_it(scene: Scene) -> None:
    page: dict[str, Any] = json.loads(show(scene, "colour", "--json"))
    assert (page["proven"], page["settings"]) == (True, [])
    assert page["engine"] == [f"by `regard serve` here: {BY_THE_GRAPH}"]
    assert [(each["version"], each["state"]) for each in page["engines"]] == [("10.5.0.18", "built, not run")]
    assert page["served"] == [f"colour: {BY_THE_GRAPH}"]
    text = " ".join(show(scene, "colour").split())
    assert "10.5.0.18" in text
    assert f"served now: colour: {BY_THE_GRAPH}" in text
    page = json.loads(show(scene, "largest", "--json"))
    assert page["engine"] == []
    assert not [setting for setting in page["settings"] if "instance_group" not in setting]
    assert page["served"] == [f"largest: {ON_THE_CPU}", f"largest_image: {ON_THE_CPU}"]


def test_a_server_that_ended_says_nothing_any_more(tmp_path: Path) -> None:
    from regard.serving.triton import served_now

    repository = tmp_path / "repository"
    file = tmp_path / ".repository.served.json"
    assert served_now.told(repository) is None
    now = served_now.ServedNow(watches=True, served={"m": (1,)}, refused={"n": "why"}, notes={"m": ("how",)})
    served_now.tell(repository, now)
    assert served_now.told(repository) == now
    said = json.loads(file.read_text())
    file.write_text(json.dumps(said | {"pid": 2**22 + 1}))  # more than Linux gives
    assert served_now.told(repository) is None
    served_now.forget(repository)
    assert file.exists()  # another's
    for text in ("", "{}", "[]", '{"pid": 1}', '{"pid": 1, "watches": true, "served": [], "notes": []}'):
        file.write_text(text)
        assert served_now.told(repository) is None
