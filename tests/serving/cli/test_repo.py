"""`regard repo`."""

import json
import sys
from pathlib import Path

from tests.processes import run
from tests.serving.repository.former_layout import add_as_before
from typer.testing import CliRunner

from regard.export.artifact import Artifact
from regard.serving.cli.repo import app


def test_commands(tmp_path: Path, colour: Artifact) -> None:
    repository = str(tmp_path / "repository")

    def regard(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--repository", repository], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    assert json.loads(regard("add", str(colour.folder), "--json")) == {
        "name": "colour",
        "version": 1,
        "folder": f"{repository}/colour/1",
        "endpoints": ["colour", "colour_image"],
    }
    assert "version 2" in regard("add", str(colour.folder), "--batching")
    assert "every model in" in regard("renew")
    (row,) = json.loads(regard("list", "--json"))
    assert (row["name"], row["versions"], row["card"]["answer"]["kind"]) == ("colour", [1, 2], "classes")
    assert "colour_image" in regard("list")
    assert "removed colour version 1" in regard("remove", "colour", "--version", "1")
    assert "removed colour" in regard("remove", "colour")
    added = regard("add", str(colour.folder), "--endpoints", "image").replace("\n", " ")
    assert "colour_image takes image files" in added
    assert "takes tensors" not in added
    regard("remove", "colour")
    add_as_before(colour, repository=tmp_path / "repository", name="colour")
    assert "renewed colour in" in regard("renew", "colour")
    regard("remove", "colour")
    assert json.loads(regard("list", "--json")) == []


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it fails
import regard.serving.triton.supervisor  # and with it all that `regard serve` runs
from regard.serving.cli.app import main
main()
"""


def test_a_repository_is_filled_listed_and_served_without_torch(tmp_path: Path, colour: Artifact) -> None:
    repository = tmp_path / "repository"
    for arguments in (["add", colour.folder], ["list"], ["remove", "colour"]):
        program = (sys.executable, "-c", WITHOUT_TORCH, "repo", *arguments, "--repository", repository)
        assert "colour" in run(*program, cwd=tmp_path)
