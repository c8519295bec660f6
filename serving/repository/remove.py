"""Removing a model from a repository, or one of its versions."""

from pathlib import Path

from regard.contract.names import CARD_FILE
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput, UnknownName
from regard.serving.repository.checks import check_repository
from regard.serving.repository.drafts import drafting, move
from regard.serving.repository.engine_choice import engine_in
from regard.serving.repository.former import is_former
from regard.serving.repository.layout import parts_of
from regard.serving.repository.listing import find
from regard.serving.repository.lock import Report, changing, nobody
from regard.serving.repository.numbering import last_version, note_version
from regard.serving.repository.runtime import TENSORRT
from regard.serving.repository.served_card import set_served_card


def remove(repository: Path, name: str, *, version: int | None = None, report: Report = nobody) -> None:
    """Remove a model with its endpoints, or one version of it, whose number is never given again. A model
    that is added after all of it was removed is another, and begins with version 1.

    report: is told when another change of the repository is waited for.

    Raises:
        InvalidInput: not a repository, or the version is the only one.
        UnknownName: no such model or version.
    """
    check_repository(repository)
    with changing(repository, report):
        _remove(repository, name, version)


def _remove(repository: Path, name: str, version: int | None) -> None:
    entry = find(repository, name)
    if version is None:
        with drafting(repository) as trash:
            # never an endpoint without what it calls
            parts = [part for part in reversed(parts_of(name)) if (repository / part).exists()]
            move([(repository / part, trash / part) for part in parts])
        return
    if version not in entry.versions:
        raise UnknownName.among(f"version of {name}", str(version), map(str, entry.versions))
    others = [other for other in entry.versions if other != version]
    if not others:
        raise InvalidInput(
            f"{version} is the only version of {name}; remove the whole model, without naming a version"
        )
    home = repository / entry.endpoints[0]
    with drafting(repository) as trash:
        note_version(home, last_version(home), draft=trash)
        if entry.card is not None:
            newest = home / str(max(others))
            card = card_from_file(newest / CARD_FILE)
            engine = engine_in(newest).plan if entry.backend == TENSORRT else None
            set_served_card(repository, name, card, draft=trash, without=version, engine=engine)
        # the former endpoint for images has one version, whatever the model has
        endpoints = [name] if is_former(repository, name) else entry.endpoints
        move([(repository / part / str(version), trash / part) for part in reversed(endpoints)])
