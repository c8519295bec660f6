"""What is shown of an exported model, or of a model of a repository: everything that `regard show` prints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from regard.contract.card import Card
from regard.contract.names import ENGINE_FILE
from regard.contract.pixels_input import PixelsInput
from regard.contract.plan import Plan, plan_in
from regard.contract.tokens_input import TokensInput
from regard.contract.variant import Variant


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
class EngineFacts:
    """An engine. variant: the name of that whose graph it was built from."""

    variant: str
    plan: Plan
    bytes: int

    @classmethod
    def of(cls, variant: str, folder: Path) -> "EngineFacts":
        """The engine in a folder, which holds one."""
        plan = plan_in(folder)
        assert plan is not None
        return cls(variant, plan, (folder / ENGINE_FILE).stat().st_size)

    def to_json(self) -> dict[str, Any]:
        """In JSON's types; of the layers, which are in the folder, how many compute in each precision."""
        fields = self.plan.model_dump(mode="json") | {"layers": self.plan.layers_by_precision}
        return {"variant": self.variant, "state": self.plan.state, "bytes": self.bytes, **fields}


@dataclass(frozen=True)
class Page:
    """What is shown. unproven: why the model is not to be trusted as proven; None where it is.

    settings: those of a served model's configuration that are not what regard writes.
    engine: of a served model that has one: why it cannot be used, and what `regard serve` here makes of it.
    served: what a server that runs on the repository now says of how it computes, by endpoint.
    """

    folder: Path
    card: Card
    unproven: str | None
    tensors: tuple[TensorFacts, ...]
    variants: tuple[Variant, ...]
    engines: tuple[EngineFacts, ...]
    files: tuple[FileFacts, ...]
    settings: tuple[str, ...] = field(default=())
    engine: tuple[str, ...] = field(default=())
    served: tuple[str, ...] = field(default=())

    @property
    def facts(self) -> Mapping[str, str]:
        """The Card in a few lines."""
        card = self.card
        labels = card.answer.labels
        shown = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in card.origin.metrics.items())
        return {
            **preprocessing(card),
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
            "engines": [engine.to_json() for engine in self.engines],
            "files": [asdict(file) for file in self.files],
            "settings": list(self.settings),
            "engine": list(self.engine),
            "served": list(self.served),
        }


def preprocessing(card: Card) -> dict[str, str]:
    """What becomes of images and texts before the network, and of scores behind it, in words."""
    facts = {text.tensor: _reading(text, card.max_batch) for text in card.texts}
    return facts if card.pixels is None else _of_pixels(card.pixels, card) | facts


def _reading(taken: TokensInput, most: int) -> str:
    """How a text is read, and how many at once."""
    story = f", in up to {taken.sentences} sentences" if taken.sentences is not None else ""
    unknown = "refused" if taken.unknown is None else f"read as {taken.unknown}"
    case = "in lower case" if taken.lowercase else "as written"
    return (
        f"up to {taken.longest} of {len(taken.vocabulary)} words{story}, {case}, unknown ones {unknown}, "
        f"batch of up to {most}"
    )


def _of_pixels(taken: PixelsInput, card: Card) -> dict[str, str]:
    answer = card.answer
    sides = f"{taken.min_size} to {taken.max_size} a side" if taken.dynamic_size else taken.resize
    if not taken.dynamic_size:
        sides += f" ({taken.interpolation})" + (
            f" of {taken.crop:.1%}" if taken.resize == "center_crop" else ""
        )
    facts = {
        taken.kind: f"{taken.height} x {taken.width}, {sides}, {taken.channels} channels, batch of up to "
        f"{card.max_batch}",
        "normalized": f"(pixels / 255 - mean) / std, mean {taken.mean}, std {taken.std}",
    }
    if taken.pad_to > 1:
        facts["padded"] = (
            f"by 0 below and to the right, to multiples of {taken.pad_to}; the answer is cut back"
        )
    if answer.upsampled_by is not None:
        facts["scores"] = f"resized to the image's size by {answer.upsampled_by}"
    return facts
