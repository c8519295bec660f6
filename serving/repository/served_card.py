"""The Card that clients read: of the newest version, since that is the one that answers."""

from pathlib import Path

from regard.contract.card import Card
from regard.contract.names import CARD_FILE, CONFIG_FILE
from regard.contract.plan import Plan
from regard.contract.variant import Precision
from regard.serving.repository.accelerators import accelerate
from regard.serving.repository.config import (
    read_config,
    set_batching,
    set_card,
    set_instances,
    to_text,
)
from regard.serving.repository.drafts import replace_texts
from regard.serving.repository.engine import fit_profiles
from regard.serving.repository.former import is_ensemble
from regard.serving.repository.layout import endpoints_in, versions_in
from regard.serving.repository.op_library import set_library, version_with_library
from regard.serving.repository.runtime import set_threads


def set_served_card(
    repository: Path,
    name: str,
    card: Card,
    *,
    draft: Path,
    without: int | None = None,
    instances: int | None = None,
    threads: int | None = None,
    batching: bool | None = None,
    engine: Plan | None = None,
    accelerated: Precision | None = None,
) -> None:
    """Replace a model's Card, beside its versions and in its configurations, and name the library of
    operators there; the configurations' other settings stay as they are, but for those that are given.

    engine: of the newest version; all of its profiles are used and warmed up.
    accelerated: the precision that TensorRT is asked for by ONNX Runtime.
    without: a version that is about to go.
    """
    files = {}
    for endpoint in endpoints_in(repository, name):
        config = read_config(repository / endpoint / CONFIG_FILE)
        set_card(config, card)
        if not is_ensemble(config):
            files[f"{endpoint}/{CARD_FILE}"] = card.to_json()
            folder = repository / endpoint
            versions = [version for version in versions_in(folder) if version != without]
            set_library(config, version_with_library(folder, versions))
            if instances is not None:
                set_instances(config, instances)
            if threads is not None:
                set_threads(config, threads)
            if batching is not None:
                set_batching(config, batching)
            if engine is not None and endpoint == name:
                fit_profiles(config, engine)
            if accelerated is not None:
                accelerate(config, card, accelerated)
        files[f"{endpoint}/{CONFIG_FILE}"] = to_text(config)
    replace_texts(repository, draft, files)
