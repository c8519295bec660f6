"""`regard tune` on a real server, and what it prints, writes and exits with."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.serving.conftest import photo
from tests.serving.tune.trials import point, trial
from tests.serving.variants import stripes, variant_of
from typer.testing import CliRunner

from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.cli.app import app
from regard.serving.repository import add
from regard.serving.repository.config import read_config
from regard.serving.tune import sweep
from regard.serving.tune.setup import Setup
from regard.serving.tune.trial import Trial

ONE_CORE = ("--instances", "1", "--threads", "1")


def invoke(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["tune", *map(str, arguments)], catch_exceptions=False)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A folder for each label of `stripes`, an image in each."""
    for number, label in enumerate("abcde"):
        (tmp_path / "labelled" / label).mkdir(parents=True)
        Image.fromarray(photo(number, 16, 16)).save(tmp_path / "labelled" / label / "0.png")
    return tmp_path / "labelled"


def test_float32_and_bf16_on_a_real_server(tmp_path: Path, labelled: Path) -> None:
    """Both are measured, and what is chosen is added as it was measured."""
    artifact = stripes(tmp_path / "stripes")
    variant_of(artifact, "bf16", precision="bf16")
    result = invoke(
        artifact.folder,
        *("--slo", "p50=30s", "--data", labelled, "--images", labelled / "a", "--no-batching"),
        *(*ONE_CORE, "--seconds", "0.2", "--endpoints", "image", "--json"),
        *("--add", "--repository", tmp_path / "served"),
        *("--record", tmp_path / "tuned.json", "--picture", tmp_path / "tuned.png"),
    )
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "tuned.json").read_text())
    assert facts == json.loads(result.stdout)
    assert facts["accuracy"] == {"metric": "top1", "measured": True}
    assert facts["failed"] == []
    assert {each["backend"] for each in facts["trials"]} == {"onnxruntime", "openvino"}
    for found in facts["trials"]:
        assert found["memory"] > 10e6
        assert found["p50"] <= found["p99"]
        assert found["rate"] <= found["capacity"]
    (chosen,) = (each for each in facts["trials"] if each["setup"] == facts["chosen"])
    assert chosen["checks"][-1]["met"]
    assert chosen["rate"] == chosen["checks"][-1]["rate"] > 0
    assert facts["chosen"] in facts["front"]
    assert "2 setups, about" in result.stderr
    with Image.open(tmp_path / "tuned.png") as picture:
        assert min(picture.size) > 500
    config = read_config(tmp_path / "served" / "stripes_image" / "config.pbtxt")
    assert config.instance_group[0].count == 1
    assert not (tmp_path / "served" / "stripes").exists()
    in_openvino = "runtime" in config.parameters
    assert in_openvino == (chosen["backend"] == "openvino")
    threads = config.parameters["INFERENCE_NUM_THREADS" if in_openvino else "intra_op_thread_count"]
    assert threads.string_value == "1"


def test_ctrl_c_keeps_and_prints_what_was_measured(tmp_path: Path) -> None:
    """It is sent when the second setup's server has begun."""
    artifact = stripes(tmp_path / "stripes")
    variant_of(artifact, "same", precision="int8", runtime="onnxruntime")
    arguments = [artifact.folder, "--slo", "p50=30s", *ONE_CORE, "--no-batching", "--seconds", "0.1"]
    arguments += ["--endpoints", "image", "--record", tmp_path / "tuned.json"]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "regard", "tune", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(scratch)},
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "same, 1 instance" in line:
                wait_for(lambda: any(scratch.glob("regard_triton_*")))
                process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        printed = process.stdout.read()
    assert process.returncode == 130
    assert not [*scratch.glob("regard_*")]  # the server's folder and its repository are gone
    wait_for(lambda: not processes_naming(str(scratch)))
    facts = json.loads((tmp_path / "tuned.json").read_text())
    assert facts["stopped"] == "interrupted"
    assert [each["setup"]["variant"] for each in facts["trials"]] == ["float32"]
    assert "1 of 2 setups were not measured, since it was interrupted" in printed
    assert "not measured once more" in printed


def processes_naming(text: str) -> list[str]:
    """The command lines of processes that name it: those of a server that was left name its folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if text in line]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[int, Trial]:
    """What is found of one and of two threads, in place of a server."""
    found = {1: trial(100), 2: trial(150, memory=90_000_000, p50=3.0)}

    def try_out(candidate: object, setup: Setup, *_: object) -> Trial:
        return replace(found[setup.threads], setup=setup)

    monkeypatch.setattr(sweep, "try_out", try_out)
    monkeypatch.setattr(sweep, "confirm", lambda _, one, *__: replace(one, checks=(point(one.rate),)))
    monkeypatch.setattr("regard.serving.tune.run.processors", lambda: 2)
    return found


TWO_SETUPS = ("--instances", "1", "--threads", "1", "--threads", "2", "--no-batching")


def test_the_table_says_which_to_take(colour: Artifact, figures: dict[int, Trial]) -> None:
    result = invoke(colour.folder, *TWO_SETUPS)
    assert result.exit_code == 0
    assert "take float32, 1 instance x 2 threads: 150 images a second with p99 = 10.0 ms" in result.stdout
    rows = [line for line in result.stdout.splitlines() if line.startswith("float32")]
    assert [row.split()[-1] for row in rows] == ["no", "take"]
    assert "batching is" in result.stdout
    assert "images at once take" in result.stdout


def test_an_slo_that_nobody_meets(colour: Artifact, figures: dict[int, Trial], tmp_path: Path) -> None:
    """The nearest is said, and nothing is added."""
    figures[1], figures[2] = trial(0, tail=70.0), trial(0, tail=60.0)
    result = invoke(colour.folder, *TWO_SETUPS, "--add", "--repository", tmp_path / "served")
    assert result.exit_code == 1
    assert "no setup meets p99=50ms; the nearest is float32, 1 instance x 2 threads" in result.stdout
    assert "its p99 for one client alone is 60.0 ms" in result.stdout
    assert not (tmp_path / "served").exists()


def test_the_time_that_is_up(colour: Artifact, figures: dict[int, Trial]) -> None:
    result = invoke(colour.folder, *TWO_SETUPS, "--budget", "1e-9")
    assert result.exit_code == 1
    assert "2 of 2 setups were not measured, since the time was up" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--slo", "fast"], "such as p99=50ms"),
        (["--seconds", "0"], "longer than 0 seconds"),
        (["--budget", "-1"], "longer than 0 seconds"),
        (["--threads", "0"], "1 or more, got 0"),
        (["--variant", "int4"], "no variant named 'int4'"),
        (["--picture", "tuned.bmp"], "a picture cannot be written"),
        (["--images", "nowhere"], "nowhere"),
        (["--data", "nowhere"], "no labelled images at nowhere"),
    ],
)
def test_bad_input(colour: Artifact, arguments: list[str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        invoke(colour.folder, *arguments)


def test_a_repository_that_would_refuse_is_said_before_anything_is_measured(
    colour: Artifact, tmp_path: Path
) -> None:
    add(colour, tmp_path / "served", instances=1, endpoints="image")
    with pytest.raises(InvalidInput, match="a new version of colour is served as the old one"):
        invoke(colour.folder, "--add", "--repository", tmp_path / "served")
    with pytest.raises(InvalidInput, match="a model's name"):
        invoke(colour.folder, "--add", "--repository", tmp_path / "served", "--name", "../colour")
    for idle in ("--name", "--repository"):
        assert invoke(colour.folder, idle, "x").exit_code == 2
