"""Bringing models to what regard writes today, in place: their Cards to the present schema, their
configurations to float32 that is float32 on a GPU, and the layout of an earlier regard (former.py) to the
present one.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.card import Card
from regard.contract.manifest import write_manifest
from regard.contract.names import CARD_FILE, CONFIG_FILE, LABELS_FILE, MANIFEST_FILE, PREPROCESS_STEP
from regard.contract.reading import card_from_file
from regard.contract.whole_folder import swap
from regard.errors import InvalidInput
from regard.serving.repository.checks import check_repository
from regard.serving.repository.config import read_config, set_card, to_text
from regard.serving.repository.drafts import drafting, link, link_folder, move
from regard.serving.repository.former import is_former
from regard.serving.repository.layout import versions_in
from regard.serving.repository.listing import Entry, find, listing
from regard.serving.repository.lock import Report, changing, nobody
from regard.serving.repository.raw_config import raw_config
from regard.serving.repository.runtime import renew_onnx_runtime


def renew(repository: Path, name: str | None = None, *, report: Report = nobody) -> tuple[str, ...]:
    """Renew a model, or all that regard added, whole or not at all; returns the names of those that changed.

    Versions keep their numbers, and configurations what an operator changed in them. `report` is told when
    another change of the repository is waited for.

    Raises:
        InvalidInput: not a repository, regard did not add the model, or it cannot be written.
        UnknownName: no such model.
    """
    check_repository(repository)
    with changing(repository, report):
        return _renew(repository, name)


def _renew(repository: Path, name: str | None) -> tuple[str, ...]:
    entries = listing(repository) if name is None else [find(repository, name)]
    if name is not None and entries[0].card is None:
        raise InvalidInput(f"{repository / name} was not added by regard (no {CARD_FILE}); leave it as it is")
    renewed = []
    with drafting(repository) as draft, ExitStack() as undo:
        changed = [
            (entry.name, [*_write_renewed(repository, entry, entry.card, draft)])
            for entry in entries
            if entry.card is not None
        ]
        for model, folders in changed:
            for folder in folders:
                swap(draft / folder, repository / folder)
                undo.callback(swap, draft / folder, repository / folder)
            if folders:
                renewed.append(model)
        steps = [
            model + PREPROCESS_STEP for model in renewed if (repository / (model + PREPROCESS_STEP)).exists()
        ]
        move([(repository / step, draft / step) for step in steps])
        undo.pop_all()
    return tuple(renewed)


def _write_renewed(repository: Path, entry: Entry, card: Card, draft: Path) -> Iterator[str]:
    """Write what a model should be to the draft; yield the folders that differ from what is there."""
    former = is_former(repository, entry.name)
    for endpoint in entry.endpoints:
        old = repository / endpoint
        if former and endpoint != entry.name:
            _write_image_endpoint(draft / entry.name, card, read_config(old / CONFIG_FILE), draft / endpoint)
            yield endpoint
            continue
        link_folder(old, draft / endpoint)
        config = read_config(old / CONFIG_FILE)
        set_card(config, card)
        renew_onnx_runtime(config)
        texts = {CARD_FILE: card.to_json()}
        if config != read_config(old / CONFIG_FILE):
            texts[CONFIG_FILE] = to_text(config)
        for version in versions_in(old):
            beside = old / str(version) / CARD_FILE
            own = card_from_file(beside) if beside.is_file() else card
            texts[f"{version}/{CARD_FILE}"] = own.to_json()
        changed = {file for file, text in texts.items() if _put(draft / endpoint / file, text)}
        for version in versions_in(old):
            place = draft / endpoint / str(version)
            if f"{version}/{CARD_FILE}" in changed or not (place / MANIFEST_FILE).is_file():
                write_manifest(place)
                changed.add(f"{version}/{MANIFEST_FILE}")
        if changed:
            yield endpoint


def _write_image_endpoint(model: Path, card: Card, ensemble: ModelConfig, folder: Path) -> None:
    """The endpoint for images beside a renewed model, in place of an ensemble."""
    folder.mkdir()
    tensors = read_config(model / CONFIG_FILE)
    config = raw_config(tensors, card, alone=False)
    if ensemble.HasField("response_cache"):
        config.response_cache.CopyFrom(ensemble.response_cache)
    for key, value in ensemble.parameters.items():
        if key not in config.parameters:
            config.parameters[key].CopyFrom(value)
    (folder / CONFIG_FILE).write_text(to_text(config), encoding="utf-8")
    for file in (CARD_FILE, LABELS_FILE):
        if (model / file).is_file():
            link(model / file, folder / file)
    for version in versions_in(model):
        link_folder(model / str(version), folder / str(version))


def _put(file: Path, text: str) -> bool:
    """Give a file of the draft its text, unless it has it; it may be a second name of the repository's."""
    if file.is_file():
        if file.read_text(encoding="utf-8") == text:
            return False
        file.unlink()
    file.write_text(text, encoding="utf-8")
    return True
