"""What the shell completes: names of networks and weights, and of the models in a repository.

Nothing here imports PyTorch or asks a server: a shell waits for the answer at every key.
"""

import glob
from pathlib import Path

import typer

from regard.serving.cli.options import DEFAULT_REPOSITORY


def networks(incomplete: str) -> list[str]:
    """The catalog's networks."""
    from regard.models.listing import list_networks

    return [row.name for row in list_networks() if row.name.startswith(incomplete)]


def networks_and_systems(incomplete: str) -> list[str]:
    """What `regard models` shows one of."""
    from regard.models.listing import list_networks

    names = dict.fromkeys(name for row in list_networks() for name in (row.name, row.system))
    return [name for name in names if name.startswith(incomplete)]


def served_models(context: typer.Context, incomplete: str) -> list[str]:
    """The models in the command's repository, or in the one that it is by default."""
    from regard.contract.names import CONFIG_FILE, OWN_SUFFIXES

    repository = Path(context.params.get("repository") or DEFAULT_REPOSITORY)
    names = dict.fromkeys(
        _without(path.parent.name, OWN_SUFFIXES) for path in repository.glob(f"*/{CONFIG_FILE}")
    )
    return sorted(name for name in names if name.startswith(incomplete))


def models_and_artifacts(context: typer.Context, incomplete: str) -> list[str]:
    """The same, and the folders of exported models, down to one folder below what is written."""
    from regard.contract.names import CARD_FILE, MANIFEST_FILE

    begun = glob.escape(incomplete)
    cards = [
        Path(card)
        for way in ("*", "*/*")
        for card in glob.glob(f"{begun}{way}/{CARD_FILE}")  # noqa: PTH207 - of a beginning, not of a folder
    ]
    artifacts = [str(card.parent) for card in cards if card.with_name(MANIFEST_FILE).is_file()]
    return [*served_models(context, incomplete), *sorted(artifacts)]


def _without(name: str, suffixes: tuple[str, ...]) -> str:
    for suffix in suffixes:
        name = name.removesuffix(suffix)
    return name
