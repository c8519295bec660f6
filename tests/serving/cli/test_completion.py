"""What a shell is offered, by a process that PyTorch is kept from."""

import os
import subprocess
import sys
from pathlib import Path

from regard.export.artifact import Artifact
from regard.serving.repository import add

COMPLETE = "import sys; sys.modules['torch'] = None; from regard.serving.cli.app import main; main()"


def completed(line: str) -> set[str]:
    """What may stand for the last word of a line."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE],
        env={**os.environ, **words, "_REGARD_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_names_of_networks() -> None:
    assert completed("regard export se_resnet") == {f"se_resnet{depth}" for depth in (18, 34, 50, 101)}
    assert "ccnet" in completed("regard models ccn")


def test_names_of_models_in_a_repository(tmp_path: Path, colour: Artifact) -> None:
    add(colour, tmp_path / "repository")
    add(colour, tmp_path / "repository", name="shape", endpoints="image")
    where = f"-r {tmp_path}/repository"
    assert completed(f"regard repo remove {where} ") == {"colour", "shape"}
    assert completed(f"regard verify {where} co") == {"colour"}
    assert completed(f"regard verify -r {tmp_path}/nothing co") == set()


def test_folders_of_exported_models(colour: Artifact, largest: Artifact) -> None:
    home = colour.folder.parent
    assert completed(f"regard predict {home}/") == {str(colour.folder), str(largest.folder)}
    assert completed(f"regard predict {home}/col") == {str(colour.folder)}
    assert completed(f"regard predict {str(home)[:-2]}") == {str(colour.folder), str(largest.folder)}
    assert completed(f"regard predict {colour.folder}/") == set()
