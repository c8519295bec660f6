"""The environment that the server and its models run in."""

from pathlib import Path

import pytest

from regard.serving.triton.backends.files import EMBEDDED
from regard.serving.triton.installation import Installation
from regard.serving.triton.nvidia_image import tensorrt_in


def test_memory_is_kept_for_the_next_image_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installation = Installation(
        Path("/triton"), Path("/stub"), Path("/python"), EMBEDDED, libraries=(Path("/libraries"),)
    )
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    environment = installation.environment()
    assert environment["MALLOC_MMAP_THRESHOLD_"] == "67108864"
    assert environment["MALLOC_TRIM_THRESHOLD_"] == "1"
    assert environment["LD_LIBRARY_PATH"].split(":")[0] == "/libraries"
    assert environment["PATH"].split(":")[0] == "/python"


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ((), None),
        (("libnvinfer.so.11.2.1", "libnvinfer_plugin.so.11.2.1"), "11.2.1"),
        (("libnvinfer.so.10.5.0", "libnvinfer.so.11.2.1"), None),
        (("libnvinfer.so.11",), None),
    ],
)
def test_the_tensorrt_of_an_image_is_known_by_its_library(
    tmp_path: Path, files: tuple[str, ...], version: str | None
) -> None:
    folder = tmp_path / "x86_64-linux-gnu"
    folder.mkdir()
    for file in files:
        (folder / file).touch()
        if file.count(".") == 4:
            (folder / file.rsplit(".", 2)[0]).symlink_to(file)
    assert tensorrt_in(tmp_path) == version
