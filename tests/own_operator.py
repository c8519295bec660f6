"""The operator of docs/custom-operators.md: its module imported, its kernel compiled."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import onnx
import pytest
import torch
from tests.docs.blocks import ROOT, blocks_of
from torch import nn

from regard.contract.card import Card
from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact
from regard.export.graph.tracing import Input, to_onnx
from regard.export.onnx_export import export_onnx
from regard.export.ops import kernels
from regard.export.ops.form import translations
from regard.models.samples import sample_images

FILES: Mapping[str, str] = {
    block.title: block.text for block in blocks_of(ROOT / "docs" / "custom-operators.md") if block.title
}


@dataclass(frozen=True)
class OwnOperator:
    """What the page makes.

    Attributes:
        module: place_gate.py.
        library: place_gate.cc, compiled.
        artifact: the network, exported in the portable form.
    """

    module: ModuleType
    library: Path
    artifact: Artifact
    network: nn.Module
    card: Card
    images: list[Pixels]

    def bare(self, path: Path) -> Path:
        """The network without what stands around it, as others would export it: its node has no body."""
        dims = {0: "batch"}
        x = torch.zeros(2, 3, 64, 64)
        model = to_onnx(
            self.network, {"x": Input(x, dims)}, ["y"], opset=20, name="it", translations=translations()
        )
        onnx.save(model, path)
        return path


def compiled(folder: Path, text: str = FILES["place_gate.cc"]) -> Path:
    """A kernel's library; a test that needs it is skipped where there is no compiler."""
    if shutil.which("g++") is None:
        pytest.skip("there is no g++ to compile the page's kernel with")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "place_gate.cc").write_text(text)
    command = ["g++", "-O1", "-std=c++17", "-fPIC", "-shared", "place_gate.cc", "-o", "libplace_gate.so"]
    subprocess.run([*command, f"-I{kernels.__path__[0]}"], cwd=folder, check=True, timeout=300)
    return folder / "libplace_gate.so"


def own_operator(folder: Path) -> OwnOperator:
    """Make it all, in a folder."""
    library = compiled(folder)
    (folder / "place_gate.py").write_text(FILES["place_gate.py"])
    spec = importlib.util.spec_from_file_location("place_gate", folder / "place_gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["place_gate"] = module  # the function's annotations are looked up there
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    network, card = module.build()
    network = network.eval()
    with torch.no_grad():
        network[-1].weight.mul_(20)  # answers that differ
    images = sample_images(card)
    artifact = export_onnx(network, card, folder / "exported", images=images)
    return OwnOperator(module, library, artifact, network, card, images)
