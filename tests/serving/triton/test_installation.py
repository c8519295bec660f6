"""The environment that the server and its models run in."""

from pathlib import Path

import pytest

from regard.serving.triton.installation import Installation


def test_memory_is_kept_for_the_next_image_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installation = Installation(Path("/triton"), (Path("/libraries"),), Path("/python"))
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    environment = installation.environment()
    assert environment["MALLOC_MMAP_THRESHOLD_"] == "67108864"
    assert environment["MALLOC_TRIM_THRESHOLD_"] == "1"
    assert environment["LD_LIBRARY_PATH"].split(":")[0] == "/libraries"
    assert environment["PATH"].split(":")[0] == "/python"
