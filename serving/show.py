"""The page of an exported model, or of a model of a repository: what is known of it, gathered."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from regard.contract.digest import sha256
from regard.contract.names import CARD_FILE, CONFIG_FILE, MODEL_FILE, VARIANTS
from regard.contract.plan import plan_in
from regard.errors import InvalidInput
from regard.export.artifact import read_artifact, read_unproven
from regard.export.variant import variants_of
from regard.serving.page import EngineFacts, FileFacts, Page, TensorFacts
from regard.serving.repository.config import read_config
from regard.serving.repository.engine_choice import Engine, choose, engine_in
from regard.serving.repository.integrity import check_endpoint
from regard.serving.repository.listing import Entry, find
from regard.serving.repository.operator_settings import operator_settings
from regard.serving.repository.runtime import TENSORRT
from regard.serving.repository.signature import read_signature
from regard.serving.triton import served_now
from regard.serving.triton.backends.files import EMBEDDED


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
    now = served_now.told(repository)
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
            for endpoint, notes in ({} if now is None else now.notes).items()
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
