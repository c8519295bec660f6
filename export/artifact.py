"""The artifact: a folder with a proven graph and its Card.

DIR/model.onnx   the served graph; its metadata `regard.card` holds the Card without certificates
DIR/card.json    the Card, with the certificates of this very file
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto

from regard.errors import InvalidInput
from regard.export.contract import check_graph
from regard.models.card import Card, card_from_file, card_from_json
from regard.models.checkpoint import sha256

MODEL, CARD = "model.onnx", "card.json"
METADATA_KEY = "regard.card"


@dataclass(frozen=True)
class Artifact:
    """An exported model: where it is, its Card, and the SHA-256 of its graph's file."""

    folder: Path
    card: Card
    sha256: str

    @property
    def model(self) -> Path:
        """The graph's file."""
        return self.folder / MODEL


def read_artifact(folder: Path) -> Artifact:
    """Open what `regard export` wrote, and hold the Card against the graph.

    Raises:
        InvalidInput: not such a folder, or the Card contradicts the graph.
    """
    missing = [name for name in (MODEL, CARD) if not (folder / name).is_file()]
    if missing:
        raise InvalidInput(
            f"{folder} is no exported model: it has no {' and no '.join(missing)}. `regard export NAME -o "
            "DIR` writes one."
        )
    card = card_from_file(folder / CARD)
    model = read_graph(folder / MODEL)
    check_graph(model, card)
    inside = next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), None)
    if inside is not None:
        _check_same(card, card_from_json(inside, source=f"the Card inside {folder / MODEL}"), folder)
    return Artifact(folder, card, sha256(folder / MODEL))


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


def _check_same(card: Card, inside: Card, folder: Path) -> None:
    for field in ("name", "task", "input", "output"):
        if getattr(card, field) != getattr(inside, field):
            raise InvalidInput(
                f"{folder / CARD} and the Card inside {MODEL} differ in {field}; to change a Card, export "
                "again with --card"
            )
