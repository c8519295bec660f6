"""Fixtures of the whole suite."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.processes import run

if TYPE_CHECKING:
    from tests.exports import Exports
    from tests.own_operator import OwnOperator
    from tests.rtx_parser import RtxParser

pytest_plugins = ["tests.suites"]

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "src", "models", "export", "serving")
DEFAULT_DATA = Path("../shared/data")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The optional folder of real data: REGARD_DATA, or ../shared/data. Tests that need it are skipped, and
    say so, without it.
    """
    folder = Path(os.environ.get("REGARD_DATA", DEFAULT_DATA))
    if not folder.is_dir():
        pytest.skip(
            f"no real data at {folder}; set REGARD_DATA to a folder that holds camvid/ to run this test"
        )
    return folder


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> "Exports":
    """Exports of this run, whichever of its processes made them."""
    from tests.exports import Exports  # imports torch, which many tests need not

    folder = tmp_path_factory.getbasetemp()
    return Exports((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "exports")


@pytest.fixture(scope="session")
def place_gate(tmp_path_factory: pytest.TempPathFactory) -> "OwnOperator":
    """The operator of docs/custom-operators.md, compiled and exported."""
    from tests.own_operator import own_operator  # likewise

    return own_operator(tmp_path_factory.mktemp("place_gate"))


@pytest.fixture(scope="session")
def rtx_parser() -> "Iterator[RtxParser]":
    """TensorRT-RTX's parser, for the law that it takes every exported graph."""
    from tests.rtx_parser import RtxParser  # imports regard, which tests of the sources need not

    parser = RtxParser()
    yield parser
    parser.close()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, for builds to leave their traces in."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source,
                folder / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
            )
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="session")
def wheel(checkout: Path) -> Path:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", ".", cwd=checkout)
    (found,) = (checkout / "dist").glob("*.whl")
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts servers first, as it takes longest: two workers are then busy to the end."""
    items.sort(key=lambda item: "serving" not in item.path.relative_to(item.config.rootpath).parts)
