"""`regard predict` without a server: what an exported model answers is what it answers when it is served."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from click.testing import Result
from client_fakes import half, png
from tests.exports import Exports
from tests.serving.conftest import Exported, Served, network_and_card, photo
from torch import nn
from typer.testing import CliRunner

from regard.contract.answers import Classes
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.errors import InvalidInput, RegardError, ServerUnreachable
from regard.export.artifact import Artifact
from regard.models.samples import sample_images
from regard.serving.cli.predict import predict
from regard.serving.client.output import Entry
from regard.serving.triton.ports import free_ports

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(*arguments, REGARD_URL=...)`: the verb; without the variable, where no server is."""
    app = typer.Typer()
    app.command()(predict)

    def command(*arguments: Any, **environment: str) -> Result:
        (port,) = free_ports(1)
        monkeypatch.setenv("REGARD_URL", environment.get("REGARD_URL", f"127.0.0.1:{port}"))
        monkeypatch.setenv("COLUMNS", "200")
        result = CliRunner().invoke(app, [*map(str, arguments)])
        if isinstance(result.exception, RegardError):
            raise result.exception
        return result

    return command


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Four images, of which the third is broken."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, name in enumerate(("a.png", "b.png", "c.png", "d.png")):
        (folder / name).write_bytes(half() if name == "c.png" else png(photo(seed, 40 + 16 * (seed > 0), 64)))
    return folder


def entries_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 1  # of the broken image
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_classes_as_served(served: Served, classifier: Exported, run: Run, images: Path) -> None:
    mine = entries_of(run(classifier.artifact.folder, images, "--json"))
    theirs = entries_of(run(served.classifier, images, "--json", "--url", served.grpc_url))
    assert [entry.pop("error", None) for entry in mine] == [entry.pop("error", None) for entry in theirs]
    assert ["top" in entry for entry in mine] == [True, True, False, True]
    for here, there in zip(mine, theirs, strict=True):
        probabilities = [[pair["probability"] for pair in each.get("top", [])] for each in (here, there)]
        np.testing.assert_allclose(*probabilities, rtol=0, atol=1e-6)
        assert here.get("label") == there.get("label")


def test_masks_as_served(served: Served, segmenter: Exported, run: Run, images: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "mine", tmp_path / "theirs"]
    mine = entries_of(run(segmenter.artifact.folder, images, "--json", "-o", folders[0]))
    theirs = entries_of(run(served.segmenter, images, "--json", "-o", folders[1], "--url", served.grpc_url))
    assert [entry.get("error") for entry in mine] == [entry.get("error") for entry in theirs]
    names = [sorted(file.name for file in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    assert len(names[0]) == 6
    assert [(folders[0] / name).read_bytes() for name in names[0]] == [
        (folders[1] / name).read_bytes() for name in names[1]
    ]


def test_neither_pytorch_nor_a_connection_is_needed(classifier: Exported, images: Path) -> None:
    program = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'onnxscript', 'safetensors', 'grpc']); "
        "from regard.serving.cli.app import main; main()"
    )
    verb = ("predict", str(classifier.artifact.folder), str(images / "a.png"), "--json")
    done = subprocess.run([sys.executable, "-c", program, *verb], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["label"]


def test_an_option_for_a_server_is_wrong_usage(classifier: Exported, run: Run, images: Path) -> None:
    for option, value in (("--url", "127.0.0.1:8001"), ("--protocol", "http"), ("--timeout", "3")):
        result = run(classifier.artifact.folder, images, option, value)
        assert result.exit_code == 2
        assert option in result.stderr
        assert "is for a server" in result.stderr


def test_a_folder_without_a_slash(
    served: Served,
    classifier: Exported,
    run: Run,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = served.classifier
    shutil.copytree(classifier.artifact.folder, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert run(name, images / "a.png").exit_code == 0
    with pytest.raises(InvalidInput, match=rf"write ./{name} for the folder, or say --url for the server"):
        run(name, images / "a.png", REGARD_URL=served.grpc_url)
    assert run(f"./{name}", images / "a.png", REGARD_URL=served.grpc_url).exit_code == 0
    assert run(name, images / "a.png", "--url", served.grpc_url).exit_code == 0
    monkeypatch.chdir(name)
    assert run(".", images / "a.png", REGARD_URL=served.grpc_url).exit_code == 0


def test_a_folder_that_the_server_has_no_model_of(
    served: Served,
    classifier: Exported,
    run: Run,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(classifier.artifact.folder, tmp_path / "garments")
    monkeypatch.chdir(tmp_path)
    assert run("garments", images / "a.png", REGARD_URL=served.grpc_url).exit_code == 0


def test_a_path_that_is_no_artifact(run: Run, images: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is no exported model"):
        run(tmp_path / "nothing", images)


@pytest.fixture(scope="module")
def explained(exports: Exports) -> Artifact:
    """A classifier that explains itself, of images that are cropped."""
    network, card = network_and_card(
        "explained",
        "acol_resnet18",
        {"width": 16, "inner": 16},
        contract=ImageInput(height=64, width=96, resize="center_crop", max_batch=4),
        labels=5,
    )
    return exports.of(network, card, sample_images(card), explain="gradcam")


def test_heat_maps_are_drawn(explained: Artifact, run: Run, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(explained.folder, images, "-o", out, "--record", tmp_path / "answers.csv")
    assert result.exit_code == 1
    assert sorted(file.name for file in out.iterdir()) == [f"{name}_heat.png" for name in "abd"]
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["error"]) for row in rows] == [False, False, True, False]
    assert rows[0]["heat"] == str(out / "a_heat.png")
    drawn = (out / "a_heat.png").read_bytes()
    assert drawn != (images / "a.png").read_bytes()


def test_a_classifier_that_does_not_explain_itself_writes_nothing(
    classifier: Exported, run: Run, images: Path, tmp_path: Path
) -> None:
    result = run(classifier.artifact.folder, images / "a.png", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "exported without --explain cam or gradcam" in result.stderr


def test_a_record_of_another_kind_is_refused_before_the_work(run: Run, images: Path) -> None:
    with pytest.raises(InvalidInput, match="end its name in"):
        run("./nothing", images, "--record", "answers.xlsx")


def test_a_record_holds_what_was_done(
    explained: Artifact, run: Run, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the server dies on the way."""

    def dies(*_: Any, **__: Any) -> Iterator[Entry]:
        yield Entry(images / "a.png", {"sky": 1.0}, {})
        raise ServerUnreachable("no server answers")

    monkeypatch.setattr("regard.serving.client.output.predict_files", dies)
    with pytest.raises(ServerUnreachable):
        run(explained.folder, images, "--record", tmp_path / "answers.jsonl")
    (line,) = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert json.loads(line)["area"] == {"sky": 1.0}


def test_a_threshold_where_there_is_none(
    classifier: Exported, segmenter: Exported, run: Run, images: Path
) -> None:
    with pytest.raises(InvalidInput, match="exactly one applies"):
        run(classifier.artifact.folder, images, "--threshold", 0.3)
    with pytest.raises(InvalidInput, match="is in its graph"):
        run(segmenter.artifact.folder, images, "--threshold", 0.3)


def test_labels_that_apply_have_a_column(run: Run, images: Path, exports: Exports) -> None:
    torch.manual_seed(0)
    card = Card(
        name="tags",
        inputs=(ImageInput(height=16, width=16, resize="stretch"),),
        answer=Classes(labels=("red", "green", "blue"), activation="sigmoid"),
        origin=Origin(builder="tests:tags"),
    )
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)).eval()
    artifact = exports.of(network, card, [photo(seed, 40, 56) for seed in range(4)])
    result = run(artifact.folder, images / "a.png", "--threshold", 0.999)
    assert result.stdout.split()[:3] == ["image", "answer", "labels"]
    assert result.stdout.split()[-1] == "none"
    every = run(artifact.folder, images / "a.png", "--threshold", 0.001, "--json")
    assert set(json.loads(every.stdout)[0]["labels"]) == {"red", "green", "blue"}
