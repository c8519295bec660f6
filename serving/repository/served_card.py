"""The Card that clients read: of the newest version, since that is the one that answers."""

from pathlib import Path

from regard.contract.card import Card
from regard.contract.names import CARD_FILE, CONFIG_FILE
from regard.serving.repository.config import read_config, set_card, set_instances, to_text
from regard.serving.repository.drafts import replace_texts
from regard.serving.repository.layout import endpoints_of


def set_served_card(
    repository: Path, name: str, card: Card, *, draft: Path, instances: int | None = None
) -> None:
    """Replace a model's Card, beside its versions and in its configurations; the configurations' other
    settings stay as they are, but for the number of instances, if given.
    """
    files = {f"{name}/{CARD_FILE}": card.to_json()}
    for endpoint in endpoints_of(name):
        if (repository / endpoint).exists():
            config = read_config(repository / endpoint / CONFIG_FILE)
            set_card(config, card)
            if instances is not None and endpoint == name:
                set_instances(config, instances)
            files[f"{endpoint}/{CONFIG_FILE}"] = to_text(config)
    replace_texts(repository, draft, files)
