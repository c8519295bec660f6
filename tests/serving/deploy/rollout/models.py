"""Versions of one model for rollouts, a few of them planted as bad."""

import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.serving.conftest import CLASSES, largest_channel

from regard.contract.digest import sha256
from regard.contract.manifest import write_manifest
from regard.contract.names import CARD_FILE, MODEL_FILE, OPERATORS_FILE
from regard.export.artifact import Artifact, read_artifact

Labels = npt.NDArray[np.uint8]
SHARED = "5" * 64  # the SHA-256 of weights
CRASH = "#include <stdlib.h>\n__attribute__((constructor)) static void end(void) { abort(); }\n"


def of_weights(artifact: Artifact, digest: str = SHARED) -> Artifact:
    """The artifact, with a certificate that names these weights."""
    certificates = [
        certificate.model_dump()
        | {"reference_sha256": digest, "candidate_sha256": sha256(artifact.folder / MODEL_FILE)}
        for certificate in artifact.card.certificates
    ]
    card = artifact.card.updated(certificates=certificates)
    (artifact.folder / CARD_FILE).write_text(card.to_json())
    write_manifest(artifact.folder)
    return read_artifact(artifact.folder)


def version(folder: Path, *, bias: int = 0, weights: str = SHARED) -> Artifact:
    """A version whose answers tell it from others by their bias."""
    return of_weights(largest_channel(folder, bias=bias), weights)


def slow(folder: Path, *, products: int = 6) -> Artifact:
    """The version without a bias, which computes so many matrix products for nothing besides."""
    artifact = largest_channel(folder)
    model = onnx.load(artifact.folder / MODEL_FILE)
    graph, large = model.graph, np.full((512, 512), 1e-3, np.float32)
    graph.initializer.append(numpy_helper.from_array(large, "large"))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "nothing"))
    nodes = [
        helper.make_node("Cast", ["largest"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["values"], ["seen"], keepdims=0),
        helper.make_node("Mul", ["large", "seen"], ["product 0"]),
        *(
            helper.make_node("MatMul", [f"product {step}", "large"], [f"product {step + 1}"])
            for step in range(products)
        ),
        helper.make_node("ReduceMax", [f"product {products}"], ["end"], keepdims=0),
        helper.make_node("Min", ["end", "nothing"], ["zero"]),
        helper.make_node("Cast", ["zero"], ["added"], to=TensorProto.UINT8),
        helper.make_node("Add", ["found", "added"], ["label_map"]),
    ]
    graph.node[-1].output[0] = "found"
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, artifact.folder / MODEL_FILE)
    return of_weights(artifact)


def crashing(folder: Path) -> Artifact:
    """A version beside whose graph lies a library that ends the process which loads it."""
    artifact = largest_channel(folder)
    source = folder.parent / "crash.c"
    source.write_text(CRASH)
    library = artifact.folder / OPERATORS_FILE
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return of_weights(artifact)


def answer(image: Labels, bias: int) -> Labels:
    """What a version says to images (B, H, W, 3)."""
    return ((image.max(axis=3).astype(np.int64) + bias) % 256 % CLASSES).astype(np.uint8)
