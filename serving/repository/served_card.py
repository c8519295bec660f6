"""The Card that clients read: of the newest version, since that is the one that answers."""

from pathlib import Path

from regard.contract.card import Card
from regard.contract.names import CARD_FILE, CONFIG_FILE
from regard.serving.repository.config import (
    read_config,
    set_batching,
    set_card,
    set_instances,
    to_text,
)
from regard.serving.repository.drafts import replace_texts
from regard.serving.repository.former import is_ensemble
from regard.serving.repository.layout import endpoints_in
from regard.serving.repository.runtime import set_threads


def set_served_card(
    repository: Path,
    name: str,
    card: Card,
    *,
    draft: Path,
    instances: int | None = None,
    threads: int | None = None,
    batching: bool | None = None,
) -> None:
    """Replace a model's Card, beside its versions and in its configurations; the configurations' other
    settings stay as they are, but for the numbers of instances and threads, and batching, if given.
    """
    files = {}
    for endpoint in endpoints_in(repository, name):
        config = read_config(repository / endpoint / CONFIG_FILE)
        set_card(config, card)
        if not is_ensemble(config):
            files[f"{endpoint}/{CARD_FILE}"] = card.to_json()
            if instances is not None:
                set_instances(config, instances)
            if threads is not None:
                set_threads(config, threads)
            if batching is not None:
                set_batching(config, batching)
        files[f"{endpoint}/{CONFIG_FILE}"] = to_text(config)
    replace_texts(repository, draft, files)
