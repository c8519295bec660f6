"""`regard models`: list the catalog."""

import json
from typing import Annotated

import typer
from rich.table import Table

from regard.serving.cli.console import out


def models(
    task: Annotated[str | None, typer.Option(help="Only 'classification' or 'segmentation'.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every network of the catalog: task, paper, parameters, and the trained weights that come with regard.

    Example: regard models --task segmentation
    """
    from regard.models.listing import list_networks

    rows = list_networks(task)
    if as_json:
        print(json.dumps([row.__dict__ for row in rows], indent=2))
        return
    table = Table("name", "task", "paper", "year", "parameters", "trained weights")
    table.columns[4].justify = "right"
    for row in rows:
        table.add_row(row.name, row.task, row.paper, str(row.year), f"{row.parameters:,}", ", ".join(row.weights))
    out.print(table)
