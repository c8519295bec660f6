"""`regard models`: list the catalog, or show one of it."""

import json
from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from regard.serving.cli.console import WIDE, out

if TYPE_CHECKING:
    from regard.models.listing import Row, System

Weights = Mapping[str, Sequence[str]]  # names of trained weights by the network they are for
FACTS = ("multiply-adds", "nodes", "error", "PyTorch ms", "ORT ms")
LONGEST_DEFAULT = 60  # letters; a list of boxes or labels may have thousands


def models(
    name: Annotated[
        str | None, typer.Argument(help="A system or a network, to show its networks and options.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only 'classification' or 'segmentation'.")] = None,
    long: Annotated[
        bool,
        typer.Option(
            "--long", help="What was measured instead of the paper: multiply-adds, ONNX nodes, error, time."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: every network, with everything that was measured.")
    ] = False,
) -> None:
    """List the systems of the catalog, each with the depths or backbones that it comes in, its paper, and the
    trained weights that come with regard; or show one of them, or one network, with its options.

    Example: regard models --task segmentation --long
    """
    from regard.models.listing import find_networks, list_networks, systems, trained

    rows = list_networks(task) if name is None else find_networks(name)
    weights = trained()
    if as_json:
        print(json.dumps([_fields(row, weights, options=name is not None) for row in rows], indent=2))
    elif name is None:
        (Console(width=WIDE) if long else out).print(_systems_table(systems(rows), weights, long))
    else:
        first = rows[0]
        out.print(
            f"{first.paper}, {first.year}. {first.task.capitalize()} of {first.size} x {first.size} pixels."
        )
        out.print(_networks_table(rows, weights))
        for row in rows:
            if row.why_not is not None:
                out.print(f"{row.name} was not exported: {row.why_not}", markup=False)
        out.print(_options_table(first.name))


def _systems_table(systems: "Sequence[System]", weights: Weights, measured: bool) -> Table:
    about = ("parameters", "measured", *FACTS) if measured else ("task", "paper", "year", "parameters")
    table = _table("name", "*", *about, "trained weights")
    for system in systems:
        first = system.networks[0]
        cells = (
            (_parameters(system), *_measured_lines(system))
            if measured
            else (first.task, first.paper, str(first.year), _parameters(system))
        )
        table.add_row(system.pattern, ", ".join(system.variants), *cells, _tags(system.networks, weights))
    return table


def _networks_table(rows: "Sequence[Row]", weights: Weights) -> Table:
    table = _table("name", "parameters", *FACTS, "trained weights")
    for row in rows:
        table.add_row(row.name, f"{row.parameters:,}", *_facts(row), _tags([row], weights))
    return table


def _tags(rows: "Sequence[Row]", weights: Weights) -> str:
    return "\n".join(tag for row in rows for tag in weights.get(row.name, []))


def _options_table(name: str) -> Table:
    from regard.models import catalog  # which brings PyTorch
    from regard.models.attention import ATTENTION
    from regard.models.signatures import type_name

    options = catalog.options(name)
    table = Table("option", "default", "type", title=f"options of {name}, for --set")
    for key, parameter in options.items():
        table.add_row(key, escape(_written(parameter.default)), escape(type_name(parameter)))
    if "attention" in options and options["attention"].default is None:
        table.caption = f"attention: {', '.join(ATTENTION)}"
    return table


def _fields(row: "Row", weights: Weights, *, options: bool) -> dict[str, Any]:
    fields = row.model_dump(mode="json") | {"weights": weights.get(row.name, [])}
    if options:
        from regard.models import catalog

        fields["options"] = {key: option.default for key, option in catalog.options(row.name).items()}
    return fields


def _table(*columns: str) -> Table:
    table = Table(*columns)
    table.columns[0].no_wrap = True
    table.columns[-1].overflow = "fold"  # names of weights are typed again
    for column in table.columns:
        if column.header in ("parameters", *FACTS):
            column.justify = "right"
    return table


def _parameters(system: "System") -> str:
    """Of the smallest and the largest network, in millions."""
    counts = sorted(row.parameters / 1e6 for row in system.networks)
    least, most = f"{counts[0]:.1f}", f"{counts[-1]:.1f}"
    return f"{least} M" if least == most else f"{least} - {most} M"


def _measured_lines(system: "System") -> list[str]:
    """A cell for the variant and each of FACTS, with a line for each network that was measured."""
    lines = [(row.variant or row.name, *_facts(row)) for row in system.networks if row.measured is not None]
    return ["\n".join(column) for column in zip(*lines, strict=True)] or [""] * (1 + len(FACTS))


def _facts(row: "Row") -> tuple[str, ...]:
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


def _written(value: object) -> str:
    """A default as it would be written behind `option=`."""
    return shorten(
        value if isinstance(value, str) else json.dumps(value), LONGEST_DEFAULT, placeholder=" ..."
    )
