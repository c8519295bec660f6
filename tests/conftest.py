"""Fixtures of the whole suite."""

import os
from pathlib import Path

import pytest

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts servers first, as it takes longest: two workers are then busy to the end."""
    items.sort(key=lambda item: "serving" not in item.path.relative_to(item.config.rootpath).parts)
