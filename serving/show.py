"""What an exported model, or a model of a repository, is: everything that `regard show` prints."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.names import CARD_FILE, CONFIG_FILE, ENGINE_FILE, MODEL_FILE, VARIANTS
from regard.contract.plan import Plan, plan_in
from regard.contract.variant import Variant
from regard.errors import InvalidInput
from regard.export.artifact import read_artifact, read_unproven
from regard.export.variant import variants_of
from regard.serving.repository.config import read_config
from regard.serving.repository.engine_choice import Engine, choose, engine_in
from regard.serving.repository.integrity import check_endpoint
from regard.serving.repository.listing import Entry, find
from regard.serving.repository.operator_settings import operator_settings
from regard.serving.repository.runtime import TENSORRT
from regard.serving.repository.signature import read_signature
from regard.serving.triton import served_now
from regard.serving.triton.backends.files import EMBEDDED


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
    """What becomes of an image before the network, and of its scores behind it, in words."""
    taken, answer = card.input, card.answer
    sides = f"{taken.min_size} to {taken.max_size} a side" if taken.dynamic_size else taken.resize
    if not taken.dynamic_size:
        sides += f" ({taken.interpolation})" + (
            f" of {taken.crop:.1%}" if taken.resize == "center_crop" else ""
        )
    facts = {
        "image": f"{taken.height} x {taken.width}, {sides}, {taken.channels} channels, batch of up to "
        f"{taken.max_batch}",
        "normalized": f"(pixels / 255 - mean) / std, mean {taken.mean}, std {taken.std}",
    }
    if taken.pad_to > 1:
        facts["padded"] = (
            f"by 0 below and to the right, to multiples of {taken.pad_to}; the answer is cut back"
        )
    if answer.upsampled_by is not None:
        facts["scores"] = f"resized to the image's size by {answer.upsampled_by}"
    return facts


def page_of(what: str, repository: Path) -> Page:
    """The page of an exported model, by its folder, or of a model of a repository, by its name.

    Raises:
        InvalidInput: no such folder, or not a repository.
        UnknownName: no such model.
    """
    folder = Path(what)
    if folder.is_dir() or "/" in what:
        return page_of_artifact(folder)
    return page_of_model(repository, what)


def page_of_artifact(folder: Path) -> Page:
    """The page of an exported model.

    Raises:
        InvalidInput: it is none.
    """
    try:
        artifact, unproven, variants = read_artifact(folder), None, variants_of(folder)
    except InvalidInput as error:
        artifact, unproven, variants = read_unproven(folder), str(error), ()
    return Page(
        folder,
        artifact.card,
        unproven,
        tensors_of(folder / MODEL_FILE),
        variants,
        _engines({variant.name: folder / VARIANTS / variant.name for variant in variants}),
        files_of(folder),
    )


def page_of_model(repository: Path, name: str) -> Page:
    """The page of a model of a repository: of its newest version.

    Raises:
        InvalidInput: not a repository, or regard did not add the model.
        UnknownName: no such model.
    """
    entry = find(repository, name)
    if entry.card is None:
        raise InvalidInput(f"{repository / name} was not added by regard: it has no {CARD_FILE}")
    home = repository / entry.endpoints[0]
    folder = home / str(entry.versions[-1])
    engine = engine_in(folder) if entry.backend == TENSORRT else None
    return Page(
        folder,
        entry.card,
        _unproven(repository, entry),
        tensors_of(folder / MODEL_FILE),
        () if entry.variant is None else (entry.variant,),
        () if engine is None or engine.plan is None else _engines({_variant_name(entry): folder}),
        files_of(folder),
        tuple(operator_settings(repository, entry, entry.card, engine)),
        () if engine is None else tuple(_engine(home, entry, engine)),
        tuple(
            f"{endpoint}: {note}"
            for endpoint, notes in served_now.told(repository).items()
            for note in notes
            if endpoint in entry.endpoints
        ),
    )


def _engines(folders: Mapping[str, Path]) -> tuple[EngineFacts, ...]:
    """Of the variants that have one, by their names."""
    return tuple(EngineFacts.of(name, folder) for name, folder in folders.items() if plan_in(folder))


def _variant_name(entry: Entry) -> str:
    return "float32" if entry.variant is None else entry.variant.name


def _engine(home: Path, entry: Entry, engine: Engine) -> Iterator[str]:
    if engine.fault is not None:
        yield f"cannot be used: {engine.fault}"
    choice = choose(home, read_config(home / CONFIG_FILE), entry.versions[-1:], EMBEDDED)
    yield f"by `regard serve` here: {choice.why}"


def _unproven(repository: Path, entry: Entry) -> str | None:
    try:
        for endpoint in entry.endpoints:
            check_endpoint(repository, endpoint)
    except InvalidInput as error:
        return str(error)
    return None if entry.proven else "it was added without a proof that passed"


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
