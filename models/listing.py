"""What the catalog holds, as rows: built on the meta device, so that no weight is ever allocated."""

from dataclasses import dataclass

import torch

from regard.errors import UnknownName
from regard.models.card import card_from_file
from regard.models.catalog import CATALOG
from regard.models.weights_index import shipped


@dataclass(frozen=True)
class Row:
    """A network of the catalog. `parameters` counts it at its default options; `weights` names those that come with regard."""

    name: str
    task: str
    paper: str
    year: int
    parameters: int
    weights: list[str]


def list_networks(task: str | None = None) -> list[Row]:
    """Return the catalog's rows, of one task where given.

    Raises:
        UnknownName: no network has this task.
    """
    tasks = {network.task for network in CATALOG.values()}
    if task is not None and task not in tasks:
        raise UnknownName.among("task", task, tasks)
    trained: dict[str, list[str]] = {}
    for name, path in shipped().items():
        trained.setdefault(card_from_file(path).origin.builder, []).append(name)
    rows = []
    for name, network in CATALOG.items():
        if task in (None, network.task):
            with torch.device("meta"):
                parameters = sum(parameter.numel() for parameter in network.build().parameters())
            rows.append(Row(name, network.task, network.paper, network.year, parameters, trained.get(name, [])))
    return rows
