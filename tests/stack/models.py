"""What the stack serves in its tests: a trained network, a graph of plain arithmetic, and a broken one."""

import subprocess
import sys
from pathlib import Path

from tests.serving.conftest import largest_channel
from tests.stack.engine import command

from regard.contract.names import MODEL_FILE
from regard.export.artifact import Artifact, read_artifact
from regard.serving.repository import add

TRAINED = "se_resnet18_fashion_mnist"
ARITHMETIC = "largest"
BROKEN = "broken"


def trained(folder: Path) -> Artifact:
    """SE-ResNet-18 with the weights that come with regard, exported as users do."""
    command(
        *(sys.executable, "-m", "regard", "export", "se_resnet18", "--weights", "fashion_mnist"),
        *("--out", folder),
    )
    return read_artifact(folder)


def fill(repository: Path, folder: Path) -> Artifact:
    """Two models that answer and one whose graph is not what was added; the trained one's artifact."""
    garments = trained(folder / "garments")
    add(garments, repository)
    add(largest_channel(folder / "largest"), repository, instances=1)
    add(largest_channel(folder / "broken"), repository, instances=1, name=BROKEN)
    (graph,) = (repository / BROKEN).rglob(MODEL_FILE)
    graph.write_bytes(graph.read_bytes()[:-10])
    subprocess.run(["chmod", "-R", "a+rX", repository], check=True)  # the server is another user
    return garments
