"""Changes of a repository that come at the same time: each waits for the one before."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.repository import add, listing, remove
from regard.serving.repository.lock import changing, nobody

HOLD = """
import sys
from pathlib import Path
from regard.serving.repository.lock import changing, nobody
with changing(Path(sys.argv[1]), nobody):
    print("held", flush=True)
    sys.stdin.read()
"""
ADD = """
import sys
from pathlib import Path
from regard.export.artifact import read_artifact
from regard.serving.repository import add
add(read_artifact(Path(sys.argv[1])), Path(sys.argv[2]), report=lambda text: print(text, flush=True))
"""


def start(program: str, *arguments: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_additions_of_several_processes_wait_for_each_other(tmp_path: Path, colour: Artifact) -> None:
    """Where they did not, two of one new model ended in 'Directory not empty'."""
    repository = tmp_path / "there" / "repository"
    repository.mkdir(parents=True)
    with start(HOLD, repository) as holder, ExitStack() as ended:
        assert line_of(holder) == "held"
        adding = [ended.enter_context(start(ADD, colour.folder, repository)) for _ in range(2)]
        for process in adding:
            assert line_of(process) == f"waiting for another change of {repository} to end"
        assert listing(repository) == []
        holder.communicate()
        assert [process.wait(timeout=120) for process in adding] == [0, 0]
    (entry,) = listing(repository)
    assert entry.versions == (1, 2)
    assert [*repository.parent.iterdir()] == [repository]


def test_a_killed_holder_leaves_no_lock(tmp_path: Path, colour: Artifact) -> None:
    repository = tmp_path / "repository"
    add(colour, repository)
    with start(HOLD, repository) as holder:
        assert line_of(holder) == "held"
        holder.kill()
    assert (tmp_path / ".repository.lock").exists()  # but nobody holds it
    told: list[str] = []
    add(colour, repository, report=told.append)
    remove(repository, "colour", report=told.append)
    assert told == []
    assert not (tmp_path / ".repository.lock").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    repository = tmp_path / "nowhere" / "repository"
    with (
        pytest.raises(InvalidInput, match="nowhere, where the lock and the drafts"),
        changing(repository, nobody),
    ):
        pytest.fail("it was not refused")
