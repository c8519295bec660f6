"""docker/Dockerfile, the image of the colours, the keys and the client: that it holds what their processes
import, and our backend for image files beside NVIDIA's.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from regard.serving.triton.installation import MALLOC

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
ENTRIES = (
    "regard.serving.deploy.supervised.__main__",
    "regard.serving.triton.front.__main__",
    "regard.serving.deploy.keys",
    "regard.serving.deploy.smoke",
)
PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
files = {name: str(getattr(module, "__file__", "")) for name, module in sys.modules.items()}
print(*{name.split(".")[0] for name, file in files.items() if "site-packages" in file})
print(*(name for name in files if name.startswith("regard.models.")))
"""
PACKAGES = {"PIL": "pillow", "google": "protobuf", "grpc": "grpcio", "tritonclient": "tritonclient[grpc]"}
# what those packages bring along
BROUGHT = {
    *(
        "aiohappyeyeballs",
        "aiosignal",
        "attr",
        "frozenlist",
        "idna",
        "multidict",
        "propcache",
        "yarl",
    ),  # aiohttp
    *("annotated_types", "pydantic_core", "typing_extensions", "typing_inspection"),  # pydantic
    *("ml_dtypes", "packaging", "rapidjson"),
}
NOT_NEEDED = {"_distutils_hack", "_brotli", "brotli"}  # imported where they are


def installed() -> set[str]:
    """The packages that pip is told to install."""
    (command,) = re.findall(r"pip install ((?:[^\\&]|\\\n)*)", DOCKERFILE)
    words = command.replace("\\\n", " ").split()
    return {word.strip('"') for word in words if not word.startswith(("-", "/"))}


def test_it_holds_what_its_processes_import() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, *ENTRIES],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    loaded, models = (set(line.split()) for line in finished.stdout.split("\n")[:2])
    imported = {PACKAGES.get(name, name) for name in loaded - BROUGHT - NOT_NEEDED}
    assert "aiohttp" in imported
    assert imported <= {name.removesuffix("<2") for name in installed()}
    assert {"cryptography", "pyjwt"} <= installed()  # which the keys import when they are made
    assert models == set()  # they are not in the image


def test_its_packages_are_pinned_and_apart_from_the_images_own() -> None:
    assert "--target /opt/regard/packages --constraint /tmp/constraints.txt" in DOCKERFILE
    assert {"onnxruntime", "openvino", "numpy<2", "pillow"} <= installed()  # of the backend for image files
    assert "torch" not in installed()
    (path,) = re.findall(r"PYTHONPATH=(\S+)", DOCKERFILE)
    assert path.split(":") == ["/opt/regard/src", "/opt/regard/packages"]
    assert "write_text('/opt/regard/packages\\n')" in DOCKERFILE  # for the Python that models run in


def test_it_has_the_memory_settings_of_the_embedded_server() -> None:
    settings = dict(re.findall(r"(MALLOC_\w+)=(\d+)", DOCKERFILE))
    assert settings == MALLOC


def test_it_is_built_from_what_the_context_lets_through() -> None:
    copied = set(re.findall(r"^COPY (\S+)", DOCKERFILE, re.MULTILINE))
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert copied == {line[1:] for line in lines if line.startswith("!")}
    assert "**/__pycache__" in lines


def test_it_puts_our_backends_for_files_and_texts_beside_nvidias(tmp_path: Path) -> None:
    """By the very line of the Dockerfile. No other backend of ours: they are named as NVIDIA's."""
    (program,) = re.findall(r'^RUN python3 -c "(from pathlib .*)" \\$', DOCKERFILE, re.MULTILINE)
    here = program.replace("/opt/tritonserver/backends", str(tmp_path))
    assert here != program
    subprocess.run(
        [sys.executable, "-c", here], env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, check=True
    )
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["regard_image", "regard_stream"]
    assert all((folder / "model.py").is_file() for folder in tmp_path.iterdir())


def test_its_size_has_a_budget() -> None:
    (most,) = re.findall(r'test "\$\(du -sm /opt/regard \| cut -f1\)" -le (\d+)', DOCKERFILE)
    assert int(most) <= 430  # MiB


@pytest.mark.parametrize("option", ["--host=0.0.0.0", "--triton=/opt/tritonserver"])
def test_its_process_is_the_supervised_server(option: str) -> None:
    (entry,) = re.findall(r"^ENTRYPOINT \[(.*)\]$", DOCKERFILE, re.MULTILINE)
    words = [word.strip('" ') for word in entry.split(",")]
    assert words[:3] == ["python3", "-m", "regard.serving.deploy.supervised"]
    assert option in words
