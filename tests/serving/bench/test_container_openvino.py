"""benchmarks/container_openvino.py, with the OpenVINO that is installed in the place of the container's."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from rich.table import Table
from tests.serving.bench.test_benchmarks import FOLDER
from tests.serving.repository.repositories import config_of
from tests.serving.variants import stripes, stripes_int8, variant_of

from regard.contract.goldens import read_goldens, write_answers
from regard.serving.repository import add
from regard.serving.repository.config import to_text

NAME = "stripes"


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    import container_openvino

    return container_openvino


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    artifact = stripes(tmp_path / NAME)
    variant = variant_of(artifact, "int8", precision="int8", graph=stripes_int8(artifact))
    add(variant, tmp_path / "repository", endpoints="tensor", instances=2)
    return tmp_path / "repository"


def tried(container: ModuleType, repository: Path, place: Path) -> bool:
    table = Table("model", "golden", "error", "bound", "agreement", "")
    passed: bool = container.tried(Path(sys.executable), repository / NAME, 1, place, table)
    return passed


def test_a_version_that_agrees_and_one_that_departs(
    container: ModuleType, repository: Path, tmp_path: Path
) -> None:
    assert tried(container, repository, tmp_path)
    goldens = repository / NAME / "1" / "goldens"
    write_answers(
        goldens / "answers.npz", {golden.name: golden.answer[::-1] for golden in read_goldens(goldens)}
    )
    assert not tried(container, repository, tmp_path)


@pytest.mark.parametrize(
    ("dims", "words"),
    [
        ([-1, 16, 17, 3], "image has shape [?,16,16,3], the configuration says [-1, 16, 17, 3]"),
        ([16, 16, 3], "the configuration says [16, 16, 3]"),
    ],
)
def test_dims_that_the_cpp_backend_would_refuse(
    container: ModuleType,
    repository: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    dims: list[int],
    words: str,
) -> None:
    config = config_of(repository / NAME)
    config.input[0].dims[:] = dims
    (repository / NAME / "config.pbtxt").write_text(to_text(config))
    with pytest.raises(subprocess.CalledProcessError):
        tried(container, repository, tmp_path)
    assert words in capfd.readouterr().err
