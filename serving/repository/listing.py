"""What a repository holds."""

from dataclasses import dataclass
from pathlib import Path

from regard.contract.card import Card
from regard.contract.names import CARD_FILE, CONFIG_FILE, OWN_SUFFIXES
from regard.contract.reading import card_from_file
from regard.errors import UnknownName
from regard.serving.repository.checks import check_repository
from regard.serving.repository.config import read_config
from regard.serving.repository.layout import endpoints_of, model_folders, versions_in


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model of a repository. `card` is None for a model that regard did not add."""

    name: str
    versions: tuple[int, ...]
    endpoints: tuple[str, ...]
    backend: str
    max_batch: int
    card: Card | None


def listing(repository: Path) -> list[Entry]:
    """The models of a repository by name; a model's image endpoint and preprocessing are part of its entry.

    Raises:
        InvalidInput: not a repository, or a model's configuration or Card cannot be read.
    """
    check_repository(repository)
    names = {folder.name for folder in model_folders(repository)}
    parts = {name + suffix for name in names for suffix in OWN_SUFFIXES}
    return [_entry(repository / name, names) for name in sorted(names - parts)]


def find(repository: Path, name: str) -> Entry:
    """The entry of one model.

    Raises:
        InvalidInput: as of `listing`.
        UnknownName: no such model.
    """
    entries = {entry.name: entry for entry in listing(repository)}
    if name not in entries:
        raise UnknownName.among("model", name, entries)
    return entries[name]


def _entry(folder: Path, names: set[str]) -> Entry:
    config = read_config(folder / CONFIG_FILE)
    card = folder / CARD_FILE
    return Entry(
        name=folder.name,
        versions=tuple(versions_in(folder)),
        endpoints=tuple(endpoint for endpoint in endpoints_of(folder.name) if endpoint in names),
        backend=config.backend or config.platform,
        max_batch=config.max_batch_size,
        card=card_from_file(card) if card.exists() else None,
    )
