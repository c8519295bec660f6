"""The artifact: a folder with a proven graph and its Card.

DIR/model.onnx      the served graph, float32; its metadata `regard.card` holds the Card without certificates
DIR/card.json       the Card, with the certificates of this very file
DIR/operators.so    kernels of operators that are not ONNX's, where the graph has such
DIR/goldens/        images and the answers to them, see regard.contract.goldens
DIR/manifest.json   the SHA-256 of these files
DIR/variants/       other graphs or engines of the network, see variant.py
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.manifest import check_files
from regard.contract.names import (
    CARD_FILE,
    CARD_METADATA,
    GOLDENS,
    MANIFEST_FILE,
    MODEL_FILE,
    OPERATORS_FILE,
    VARIANTS,
)
from regard.contract.operators import operators_beside
from regard.contract.reading import card_from_file, card_from_json
from regard.contract.variant import VARIANT_FILE, Precision, Runtime
from regard.errors import ExportError, InvalidInput
from regard.export.graph.check import check_graph

MOST_BYTES = 2**31  # of one protobuf message
OWN_FILES = frozenset({MODEL_FILE, OPERATORS_FILE, CARD_FILE, GOLDENS, MANIFEST_FILE, VARIANTS})


@dataclass(frozen=True)
class Artifact:
    """An exported model, or a variant of one.

    Attributes:
        folder: where it is.
        card: its Card; that of one that is not proven has no certificates.
        sha256: of its graph's file.
        runtime: what runs it.
        precision: that it computes in.
        variant_of: the folder of the artifact that a variant belongs to.
    """

    folder: Path
    card: Card
    sha256: str
    runtime: Runtime = "onnxruntime"
    precision: Precision = "float32"
    variant_of: Path | None = None

    @property
    def model(self) -> Path:
        """The graph's file: a variant without one of its own shares the artifact's."""
        own = self.folder / MODEL_FILE
        return own if self.variant_of is None or own.is_file() else self.variant_of / MODEL_FILE

    @property
    def operators(self) -> Path | None:
        """The library of operators beside the graph."""
        return operators_beside(self.model)


def read_artifact(folder: Path, *, expect: str | None = None) -> Artifact:
    """Open what `regard export` wrote, and hold its Card, graph, certificates and manifest against each
    other.

    expect: SHA-256 that its manifest must have.

    Raises:
        InvalidInput: not such a folder, not proven, or its parts contradict each other; names what differs.
    """
    artifact, graph = _read(folder)
    card = artifact.card
    _check_inside(card, graph, artifact.model)
    if not card.certificates:
        raise InvalidInput(f"{folder} was never proven: its Card has no certificates; export it again")
    for certificate in card.certificates:
        if not certificate.passed:
            raise InvalidInput(
                f"{folder} failed its proof: it departs from {certificate.reference}; mend that and export "
                "it again"
            )
        if certificate.candidate_sha256 != artifact.sha256:
            raise InvalidInput(
                f"{artifact.model} is not the graph that was proven: its SHA-256 is {artifact.sha256[:12]}"
                f"..., the certificate's {(certificate.candidate_sha256 or 'none')[:12]}...; export it again"
            )
    check_files(folder)
    check_pinned(folder, expect)
    return artifact


def check_pinned(folder: Path, expect: str | None) -> None:
    """Refuse a folder whose manifest has another SHA-256 than was expected, if any was.

    Raises:
        InvalidInput: it has.
    """
    if expect is not None and (found := sha256(folder / MANIFEST_FILE)) != expect.lower():
        raise InvalidInput(f"{folder / MANIFEST_FILE} has SHA-256 {found}, expected was {expect}")


def read_unproven(folder: Path) -> Artifact:
    """Open an artifact whatever its proof and manifest say: the Card loses its certificates.

    Raises:
        InvalidInput: not such a folder, or its Card contradicts its graph; a variant, whose proof alone says
            that it answers as the artifact does.
    """
    if (folder / VARIANT_FILE).is_file():
        raise InvalidInput(f"{folder} is a variant, which is taken with its proof alone; make it again")
    artifact, _ = _read(folder)
    return Artifact(folder, artifact.card.updated(certificates=()), artifact.sha256)


def read_graph(path: Path) -> ModelProto:
    """Parse an ONNX file.

    Raises:
        InvalidInput: it cannot be read, is none, or truncated.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from None
    except DecodeError:
        raise InvalidInput(f"{path} is no whole ONNX file; export it again") from None
    if not model.graph.node:
        raise InvalidInput(f"{path} holds an empty graph; export it again")
    return model


def check_fits(weights: int, name: str) -> None:
    """Refuse weights of so many bytes that an ONNX file in one piece cannot hold them.

    Raises:
        ExportError: they are too large.
    """
    if weights >= MOST_BYTES:
        raise ExportError(
            f"the weights of {name} take {weights / 2**30:.1f} GiB, and an ONNX file in one piece holds "
            "less than 2; export a smaller network"
        )


def write_graph(model: ModelProto, path: Path) -> None:
    """Write an ONNX file in one piece.

    Raises:
        ExportError: it is too large for that.
    """
    try:
        path.write_bytes(model.SerializeToString())
    except ValueError:  # protobuf's; what the exporter added came on top of the weights
        raise ExportError("the graph is larger than the 2 GiB that an ONNX file in one piece holds") from None


def _read(folder: Path) -> tuple[Artifact, ModelProto]:
    missing = [name for name in (MODEL_FILE, CARD_FILE) if not (folder / name).is_file()]
    if missing:
        raise InvalidInput(
            f"{folder} is no exported model: it has no {' and no '.join(missing)}. `regard export` "
            "writes one."
        )
    card = card_from_file(folder / CARD_FILE)
    graph = read_graph(folder / MODEL_FILE)
    check_graph(graph, card)
    return Artifact(folder, card, sha256(folder / MODEL_FILE)), graph


def _check_inside(card: Card, graph: ModelProto, model: Path) -> None:
    text = next((entry.value for entry in graph.metadata_props if entry.key == CARD_METADATA), None)
    if text is None:
        raise InvalidInput(f"{model} holds no Card, which its export put there; export it again")
    inside = card_from_json(text, source=f"the Card inside {model}")
    for field in ("name", "inputs", "answer", "origin"):
        if getattr(card, field) != getattr(inside, field):
            raise InvalidInput(
                f"{model.with_name(CARD_FILE)} and the Card inside {MODEL_FILE} differ in {field}; to change "
                "a Card, export again with the new one"
            )
