"""What an exported model, or a model of a repository, is: everything that `regard show` prints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.names import MODEL_FILE
from regard.errors import InvalidInput
from regard.export.artifact import read_artifact, read_unproven
from regard.export.variant import Variant, variants_of
from regard.serving.repository.signature import read_signature


@dataclass(frozen=True)
class TensorFacts:
    """An input or output of the served graph. dims: without the batch in front; -1 is any size."""

    direction: str
    name: str
    type: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class FileFacts:
    """A file of the model, by its path below the folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Page:
    """What is shown. unproven: why the model is not to be trusted as proven; None where it is.

    settings: those of a served model's configuration that are not what regard writes.
    """

    folder: Path
    card: Card
    unproven: str | None
    tensors: tuple[TensorFacts, ...]
    variants: tuple[Variant, ...]
    files: tuple[FileFacts, ...]
    settings: tuple[str, ...] = field(default=())

    @property
    def facts(self) -> Mapping[str, str]:
        """The Card in a few lines."""
        card, taken = self.card, self.card.input
        sides = f"{taken.min_size} to {taken.max_size} a side" if taken.dynamic_size else taken.resize
        labels = card.answer.labels
        shown = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in card.origin.metrics.items())
        return {
            "image": f"{taken.height} x {taken.width}, {sides}, {taken.channels} channels, batch of up to "
            f"{taken.max_batch}",
            "normalized": f"mean {taken.mean}, std {taken.std}",
            "answer": f"{card.answer.kind} by {card.answer.activation}, {len(labels)} labels: {shown}",
            "origin": f"{card.origin.builder} {card.origin.options or ''}".strip(),
            "weights": card.origin.weights_sha256 or "untrained",
            "metrics": metrics or "none",
            "licence": card.origin.licence or "not stated",
            "made with": ", ".join(f"{tool} {version}" for tool, version in card.tools.items()),
        }

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "folder": str(self.folder),
            "proven": self.unproven is None,
            "unproven": self.unproven,
            "card": self.card.model_dump(mode="json"),
            "tensors": [asdict(tensor) for tensor in self.tensors],
            "variants": [variant.model_dump(mode="json") for variant in self.variants],
            "files": [asdict(file) for file in self.files],
            "settings": list(self.settings),
        }


def page_of_artifact(folder: Path) -> Page:
    """The page of an exported model.

    Raises:
        InvalidInput: it is none.
    """
    try:
        artifact, unproven, variants = read_artifact(folder), None, variants_of(folder)
    except InvalidInput as error:
        artifact, unproven, variants = read_unproven(folder), str(error), ()
    return Page(folder, artifact.card, unproven, tensors_of(folder / MODEL_FILE), variants, files_of(folder))


def tensors_of(model: Path) -> tuple[TensorFacts, ...]:
    """Inputs and outputs of a graph's file."""
    signature = read_signature(model)
    sides = (("input", signature.inputs), ("output", signature.outputs))
    return tuple(
        TensorFacts(direction, tensor.name, tensor.data_type.removeprefix("TYPE_"), tensor.dims)
        for direction, tensors in sides
        for tensor in tensors
    )


def files_of(folder: Path) -> tuple[FileFacts, ...]:
    """Every file below a folder, by path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        FileFacts(path.relative_to(folder).as_posix(), path.stat().st_size, sha256(path)) for path in paths
    )
