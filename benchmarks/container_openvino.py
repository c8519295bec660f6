"""Whether a repository's models in OpenVINO would load and agree in NVIDIA's container 24.10, whose backend
is OpenVINO 2024.4: pip installs that version into a virtual environment for the run, and openvino_2024.py
does there to each version's own files what the backend does by its source.

    python benchmarks/container_openvino.py model_repository

Asked are the goldens of the version, and batches of 1, 3 and the largest number of images. The answers are
held against the variant's own by the bounds of `regard verify`, and batches against single images. What no
part of it shows: the backend itself, which is not on any package index.
"""

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

from regard.contract.answers.kind import Array
from regard.contract.card import Card
from regard.contract.goldens import read_goldens
from regard.contract.names import CARD_FILE, CONFIG_FILE, GOLDENS, IMAGE, MODEL_FILE
from regard.contract.reading import card_from_file
from regard.contract.variant import variant_in
from regard.serving.repository.config import read_config
from regard.serving.repository.layout import model_folders, versions_in
from regard.serving.repository.runtime import OPENVINO
from regard.serving.verify.bounds import largest_error
from regard.serving.verify.goldens import distance

PACKAGES = ("openvino==2024.4.0", "numpy<2")
HERE = Path(__file__).parent
console = Console(stderr=True, soft_wrap=True)


def main(repository: Path) -> int:
    """Try every version; 0 where all agree."""
    folders = [
        folder
        for folder in model_folders(repository)
        if read_config(folder / CONFIG_FILE).backend == OPENVINO
    ]
    if not folders:
        console.print(f"{repository} holds no model in OpenVINO; add a variant with: regard repo add")
        return 2
    table = Table("model", "golden", "error", "bound", "agreement", "")
    passed = True
    with tempfile.TemporaryDirectory() as place:
        python = install(Path(place))
        for folder in folders:
            for version in versions_in(folder):
                passed &= tried(python, folder, version, Path(place), table)
    Console().print(table)
    return 0 if passed else 1


def install(folder: Path) -> Path:
    """Make the virtual environment; returns its Python."""
    console.print(f"installing {PACKAGES[0]} into a virtual environment of its own")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    quiet = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    subprocess.run([python, *quiet, *PACKAGES], check=True)
    return python


def tried(python: Path, folder: Path, version: int, place: Path, table: Table) -> bool:
    """Whether one version loads and agrees; adds its rows to the table."""
    files = folder / str(version)
    config, card = read_config(folder / CONFIG_FILE), card_from_file(files / CARD_FILE)
    goldens, variant = read_goldens(files / GOLDENS), variant_in(files)
    precision = "float32" if variant is None else variant.precision
    batches = images_of(card, {golden.name: card.input.fit(golden.pixels) for golden in goldens})
    answers, told = asked(python, config, files / MODEL_FILE, batches, place)
    console.print(f"{folder.name} version {version}: {told}")
    passed = True
    for golden in goldens:
        error, agreement = distance(card.answer, golden.answer, answers[golden.name][0])
        bound = largest_error(card.answer, golden.answer, precision=precision)
        passed &= error <= bound
        row = (folder.name, golden.name, f"{error:.2g}", f"{bound:.2g}", f"{agreement:.2%}")
        table.add_row(*row, "yes" if error <= bound else "NO")
    for name in batches.keys() - {golden.name for golden in goldens}:
        error = max(distance(card.answer, answers["batch of 1"][0], row)[0] for row in answers[name])
        passed &= error <= 1e-5
        table.add_row(folder.name, name, f"{error:.2g}", "1e-05", "", "yes" if error <= 1e-5 else "NO")
    return passed


def images_of(card: Card, fitted: Mapping[str, Array]) -> dict[str, Array]:
    """The goldens one by one, and one of them in batches."""
    pixels = fitted["exact.jpg"]
    counts = (1, 3, card.input.max_batch)
    return {name: image[None] for name, image in fitted.items()} | {
        f"batch of {count}": np.repeat(pixels[None], count, axis=0) for count in counts
    }


def asked(
    python: Path, config: ModelConfig, model: Path, batches: Mapping[str, Array], place: Path
) -> tuple[dict[str, Array], str]:
    """The answers by the images' names, and what OpenVINO says of itself."""
    np.savez(place / "images.npz", **batches)
    declared = {
        kind: {tensor.name: (DataType.Name(tensor.data_type), [*tensor.dims]) for tensor in tensors}
        for kind, tensors in (("input", config.input), ("output", config.output))
    }
    task: dict[str, Any] = {
        "model": str(model.resolve()),
        "parameters": {key: value.string_value for key, value in config.parameters.items()},
        "images": str(place / "images.npz"),
        "answers": str(place / "answers.npz"),
        **declared,
    }
    assert [*declared["input"]] == [IMAGE]
    done = subprocess.run(
        [python, HERE / "openvino_2024.py"],
        input=json.dumps(task) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    with np.load(place / "answers.npz") as found:
        output = config.output[0].name
        return {name: found[f"{output}/{name}"] for name in batches}, done.stdout.strip()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/container_openvino.py MODEL_REPOSITORY")
    sys.exit(main(Path(sys.argv[1])))
