"""What a repository holds."""

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from regard.contract.card import Card
from regard.contract.names import CARD_FILE, CONFIG_FILE, OWN_SUFFIXES, model_of
from regard.contract.reading import card_from_file
from regard.contract.variant import Variant, variant_in
from regard.errors import UnknownName
from regard.serving.repository.checks import check_repository
from regard.serving.repository.config import read_config
from regard.serving.repository.layout import endpoints_in, home_of, model_folders, versions_in


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model of a repository.

    card: None for a model that regard did not add.
    variant: what its newest version is of an artifact; None for the artifact's own graph.
    """

    name: str
    versions: tuple[int, ...]
    endpoints: tuple[str, ...]
    backend: str
    max_batch: int
    card: Card | None
    variant: Variant | None

    @property
    def proven(self) -> bool:
        """Whether its newest version was proven."""
        return any(part is not None and part.proven for part in (self.card, self.variant))

    @property
    def proof(self) -> str:
        """Whether its newest version was proven, in a word; "" where regard did not add it."""
        if self.card is None:
            return ""
        return "proven" if self.proven else "unproven"


def listing(repository: Path) -> list[Entry]:
    """The models of a repository by name; both endpoints of a model are one entry.

    Raises:
        InvalidInput: not a repository, or a model's configuration or Card cannot be read.
    """
    check_repository(repository)
    return entries(repository, {folder.name for folder in model_folders(repository)})


def entries(repository: Path, folders: Set[str]) -> list[Entry]:
    """The models that some of a repository's folders make up, as of `listing`.

    Raises:
        InvalidInput: a model's configuration or Card cannot be read.
    """
    parts = {name + suffix for name in folders for suffix in OWN_SUFFIXES}
    names = {_model_of(repository, folder) for folder in folders - parts}
    return [_entry(repository, name, folders) for name in sorted(names)]


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


def _model_of(repository: Path, folder: str) -> str:
    """The name of the model that a folder stands for: it may be the endpoint for images or texts, alone."""
    name = model_of(folder)
    return name if home_of(repository, name) is not None else folder


def _entry(repository: Path, name: str, folders: Set[str]) -> Entry:
    home = home_of(repository, name)
    assert home is not None  # a folder named it
    config = read_config(home / CONFIG_FILE)
    card = card_from_file(home / CARD_FILE) if (home / CARD_FILE).exists() else None
    versions = tuple(versions_in(home))
    return Entry(
        name=name,
        versions=versions,
        endpoints=tuple(endpoint for endpoint in endpoints_in(repository, name) if endpoint in folders),
        backend=config.backend or config.platform,
        # where there is a Card it knows the largest batch, which a configuration may leave to the backend
        max_batch=config.max_batch_size if card is None else card.max_batch,
        card=card,
        variant=variant_in(home / str(versions[-1])) if versions else None,
    )
