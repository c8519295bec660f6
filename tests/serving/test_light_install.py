"""`pip install regard`, the wheel and its requirements alone, gives the client and `regard predict`."""

import io
import json
import subprocess
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import ROOT
from tests.processes import run

import regard
from regard.models.samples import folder

pytestmark = pytest.mark.slow  # pip fetches the requirements

PROGRAM = """
import sys
from regard import Client, UnknownName

with Client(sys.argv[1]) as client:
    label_map = client.segment(sys.argv[2], sys.argv[3])[0].label_map
    try:
        client.classify("nothing", sys.argv[3])
    except UnknownName as error:
        assert "nothing" in str(error)
heavy = {"torch", "onnx", "onnxruntime", "onnxscript", "matplotlib", "safetensors"}
assert not heavy & sys.modules.keys()
print(*label_map.shape)
"""


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own that holds the wheel and its requirements, pinned: its folder of programs."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, with_pip=True)
    pip = (home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    run(*pip, "--constraint", ROOT / "constraints.txt", wheel, cwd=home)
    return home / "bin"


def test_nothing_of_an_extra_is_installed(bare: Path, tmp_path: Path) -> None:
    listed = json.loads(run(bare / "python", "-m", "pip", "list", "--format", "json", cwd=tmp_path))
    installed = {package["name"].lower() for package in listed}
    assert "regard" in installed
    assert not {"torch", "onnx", "onnxruntime", "onnxscript", "matplotlib", "safetensors"} & installed


def test_it_predicts(bare: Path, served: Any, tmp_path: Path) -> None:
    image = next(path for path in sorted(folder("garment").iterdir()) if path.suffix == ".png")
    command = ("predict", served.classifier, image, "--url", served.grpc_url, "--json")
    (answer,) = json.loads(run(bare / "regard", *command, cwd=tmp_path))
    with regard.Client(served.grpc_url) as client:
        assert answer["label"] == client.classify(served.classifier, image)[0].label


def test_it_says_what_a_prediction_without_a_server_needs(bare: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [bare / "regard", "predict", "./exported", "image.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'regard[cpu]'" in done.stderr


def test_its_client_predicts(bare: Path, served: Any, tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(_picture())
    printed = run(bare / "python", "-c", PROGRAM, served.grpc_url, served.segmenter, image, cwd=tmp_path)
    assert printed.split() == ["48", "64"]


def test_its_doctor_finds_no_problem_and_names_the_extras(bare: Path, tmp_path: Path) -> None:
    said = json.loads(run(bare / "regard", "doctor", "--json", cwd=tmp_path))
    assert said["works"]
    steps = {finding["about"]: finding["next_step"] for finding in said["findings"]}
    assert steps["embedded Triton"] == "pip install 'regard[server]'"
    assert steps["PyTorch"] == "pip install 'regard[export]'"


def test_it_lists_the_catalog(bare: Path, tmp_path: Path) -> None:
    assert "se_resnet50" in run(bare / "regard", "models", "--json", cwd=tmp_path)


def _picture() -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
