"""`regard repo`."""

import json
import sys
from pathlib import Path

from click.testing import Result
from tests.processes import run
from tests.serving.repository.former_layout import add_as_before
from typer.testing import CliRunner

from regard.contract.digest import sha256
from regard.errors import InvalidInput
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
        "engine": None,
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


def test_what_was_not_proven_is_taken_where_it_is_asked_for(tmp_path: Path, colour: Artifact) -> None:
    repository = tmp_path / "repository"
    (colour.folder / "goldens" / "grey.png").unlink()

    def regard(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--repository", str(repository)])

    refused = regard("add", str(colour.folder))
    assert isinstance(refused.exception, InvalidInput)
    assert "grey.png is missing" in str(refused.exception)
    assert not repository.exists()
    assert regard("add", str(colour.folder), "--unproven").exit_code == 0
    (row,) = json.loads(regard("list", "--json").stdout)
    assert (row["proof"], row["card"]["certificates"]) == ("unproven", [])
    assert "unproven" in regard("list").stdout
    assert regard("add", str(colour.folder), "--unproven", "--expect", "0" * 64).exit_code == 2


def test_a_pinned_manifest(tmp_path: Path, colour: Artifact) -> None:
    arguments = ["add", str(colour.folder), "--repository", str(tmp_path / "repository"), "--expect"]
    refused = CliRunner().invoke(app, [*arguments, "0" * 64])
    assert "expected was 0000" in str(refused.exception)
    assert CliRunner().invoke(app, [*arguments, sha256(colour.folder / "manifest.json")]).exit_code == 0


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
