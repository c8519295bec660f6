"""The smoke test of the stack, on a real server."""

import shutil
from pathlib import Path

import pytest
from tests.serving.conftest import Served

from regard.serving.deploy import smoke
from regard.serving.deploy.colours import write_colours
from regard.serving.deploy.routing import Routing, write_routing
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.wire import Fault


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr("sys.argv", ["smoke", *map(str, arguments)])
    return smoke.main()


@pytest.fixture
def closed_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind the gateway."""

    def refuse(*_: object, **__: object) -> None:
        raise Fault("NOT_FOUND", "no such path")

    monkeypatch.setattr(Connection, "index", refuse)


@pytest.mark.usefixtures("closed_index")
def test_every_model_is_verified_by_every_url(served: Served, tmp_path, monkeypatch, capsys):
    urls = [f"grpc://{served.grpc_url}", f"http://{served.http_url}"]
    folders = (f"--deployment={tmp_path}", f"--repository={served.repository}")
    assert run(monkeypatch, *folders, *urls) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"smoke: {url} {model}: answers as it was exported"
        for url in urls
        for model in (served.classifier, served.segmenter)
    ]


def test_what_is_not_served_fails(served: Served, tmp_path, monkeypatch, capsys):
    """The goldens are those of the snapshot that is served, and not of the repository."""
    snapshot = tmp_path / "snapshots" / "1"
    shutil.copytree(served.repository / served.classifier, snapshot / "another")
    shutil.copytree(served.repository / served.classifier, snapshot / served.classifier)
    (snapshot / "another" / "config.pbtxt").write_text(
        (snapshot / "another" / "config.pbtxt").read_text().replace(served.classifier, "another")
    )
    (tmp_path / "routing").mkdir()
    write_colours(tmp_path, {"a": "repository", "b": "snapshots/1"})
    write_routing(tmp_path, Routing("b"))
    folders = (f"--deployment={tmp_path}", f"--repository={served.repository}")
    assert run(monkeypatch, *folders, f"grpc://{served.grpc_url}") == 1
    another, classifier = capsys.readouterr().out.splitlines()
    assert "another: no ready model named 'another'" in another
    assert classifier.endswith(f"{served.classifier}: answers as it was exported")


def test_a_gateway_that_asks_an_idle_colour_fails(tmp_path, monkeypatch, capsys):
    write_colours(tmp_path, {"a": None, "b": "snapshots/1"})
    assert run(monkeypatch, f"--deployment={tmp_path}", f"--repository={tmp_path}", "grpc://127.0.0.1:1") == 1
    assert "the colour a has the requests and serves nothing" in capsys.readouterr().out


def test_an_empty_repository_fails(served: Served, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, f"--deployment={tmp_path}", f"--repository={tmp_path}", served.grpc_url) == 1
    assert "holds no model with goldens" in capsys.readouterr().out


def test_a_server_that_is_not_there_fails(served: Served, tmp_path, monkeypatch, capsys):
    folders = (f"--deployment={tmp_path}", f"--repository={served.repository}")
    assert run(monkeypatch, *folders, "grpc://127.0.0.1:1") == 1
    assert "no server answers" in capsys.readouterr().out
