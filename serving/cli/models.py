"""`regard models`: list the catalog."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from regard.serving.cli.console import WIDE, out

if TYPE_CHECKING:
    from regard.models.listing import Row


def models(
    task: Annotated[str | None, typer.Option(help="Only 'classification' or 'segmentation'.")] = None,
    long: Annotated[
        bool, typer.Option("--long", help="Add what was measured: multiply-adds, ONNX nodes, error, time.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with everything that was measured.")
    ] = False,
) -> None:
    """List every network of the catalog: task, paper, parameters, and the trained weights that come with
    regard.

    Example: regard models --task segmentation --long
    """
    from regard.models.listing import list_networks, trained

    rows, weights = list_networks(task), trained()
    if as_json:
        print(
            json.dumps(
                [row.model_dump(mode="json") | {"weights": weights.get(row.name, [])} for row in rows],
                indent=2,
            )
        )
        return
    columns = ("multiply-adds", "nodes", "error", "PyTorch ms", "ORT ms") if long else ()
    table = Table("name", "task", "paper", "year", "parameters", *columns, "trained weights")
    table.columns[0].no_wrap = True
    for column in table.columns[4:-1]:
        column.justify = "right"
    for row in rows:
        measured = _measured(row) if long else ()
        table.add_row(
            row.name,
            row.task,
            row.paper,
            str(row.year),
            f"{row.parameters:,}",
            *measured,
            ", ".join(weights.get(row.name, [])),
        )
    (Console(width=WIDE) if long else out).print(table)


def _measured(row: "Row") -> tuple[str, ...]:
    work = f"{row.multiply_adds / 1e9:.2f} G"
    if row.measured is None:
        return (work, "", "", "", "")
    found = row.measured
    return (
        work,
        str(found.nodes),
        f"{found.largest_error:.0e}",
        f"{found.torch_ms:.0f}",
        f"{found.onnxruntime_ms:.0f}",
    )
