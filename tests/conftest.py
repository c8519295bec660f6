"""Fixtures of the whole suite."""

import os
from pathlib import Path

import pytest

DEFAULT_DATA = Path("../shared/data")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The optional folder of real data: REGARD_DATA, or ../shared/data. Tests that need it are skipped, and say so, without it."""
    folder = Path(os.environ.get("REGARD_DATA", DEFAULT_DATA))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set REGARD_DATA to a folder that holds camvid/ to run this test")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers: a file's tests stay together; all that starts servers runs in one worker, first, as it takes longest."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group("servers" if _starts_servers(item) else str(item.path)))
    items.sort(key=lambda item: not _starts_servers(item))


def _starts_servers(item: pytest.Item) -> bool:
    return "serving" in item.path.relative_to(item.config.rootpath).parts
