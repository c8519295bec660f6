"""The artifact: a folder with a proven graph and its Card.

DIR/model.onnx   the served graph; its metadata `regard.card` holds the Card without certificates
DIR/card.json    the Card, with the certificates of this very file
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.names import CARD_FILE, CARD_METADATA, MODEL_FILE
from regard.contract.reading import card_from_file, card_from_json
from regard.errors import ExportError, InvalidInput
from regard.export.graph.check import check_graph


@dataclass(frozen=True)
class Artifact:
    """An exported model: where it is, its Card, and the SHA-256 of its graph's file."""

    folder: Path
    card: Card
    sha256: str

    @property
    def model(self) -> Path:
        """The graph's file."""
        return self.folder / MODEL_FILE


def read_artifact(folder: Path) -> Artifact:
    """Open what `regard export` wrote, and hold the Card against the graph.

    Raises:
        InvalidInput: not such a folder, or the Card contradicts the graph.
    """
    missing = [name for name in (MODEL_FILE, CARD_FILE) if not (folder / name).is_file()]
    if missing:
        raise InvalidInput(
            f"{folder} is no exported model: it has no {' and no '.join(missing)}. `regard export` "
            "writes one."
        )
    card = card_from_file(folder / CARD_FILE)
    model = read_graph(folder / MODEL_FILE)
    check_graph(model, card)
    inside = next((entry.value for entry in model.metadata_props if entry.key == CARD_METADATA), None)
    if inside is not None:
        _check_same(card, card_from_json(inside, source=f"the Card inside {folder / MODEL_FILE}"), folder)
    return Artifact(folder, card, sha256(folder / MODEL_FILE))


def read_graph(path: Path) -> ModelProto:
    """Parse an ONNX file.

    Raises:
        InvalidInput: it is not one, or truncated.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError:
        raise InvalidInput(f"{path} is no whole ONNX file; export it again") from None
    if not model.graph.node:
        raise InvalidInput(f"{path} holds an empty graph; export it again")
    return model


def write_graph(model: ModelProto, path: Path) -> None:
    """Write an ONNX file in one piece.

    Raises:
        ExportError: it is too large for that.
    """
    try:
        path.write_bytes(model.SerializeToString())
    except ValueError:  # protobuf's
        raise ExportError(
            "the model is larger than the 2 GB that an ONNX file in one piece can hold"
        ) from None


def _check_same(card: Card, inside: Card, folder: Path) -> None:
    for field in ("name", "inputs", "answer"):
        if getattr(card, field) != getattr(inside, field):
            raise InvalidInput(
                f"{folder / CARD_FILE} and the Card inside {MODEL_FILE} differ in {field}; to change a "
                "Card, export again with the new one"
            )
