"""`regard models`: list the catalog, or show one of it."""

import json
from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard.serving.cli.completion import networks_and_systems
from regard.serving.cli.console import out
from regard.serving.cli.options import Json
from regard.serving.cli.tables import Table

if TYPE_CHECKING:
    from regard.models.listing import Row

Weights = Mapping[str, Sequence[str]]  # names of trained weights by the network they are for
FACTS = ("M params", "G adds", "nodes", "error", "torch ms", "ORT ms")
MEANING = (
    "M params: millions of parameters. G adds: 10^9 multiply-adds for an image. Nodes of the ONNX graph, and "
    "its largest error relative to the largest logit. ms: processor time of an image in PyTorch and ONNX "
    "Runtime, one thread."
)
LONGEST_DEFAULT = 60  # letters; a list of boxes or labels may have thousands


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            autocompletion=networks_and_systems,
            help="A system or a network, to show its networks and options.",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Only one task: 'segmentation', 'captioning', 'pose', ...")
    ] = None,
    long: Annotated[
        bool,
        typer.Option(
            "--long", help="What was measured instead of the paper: multiply-adds, ONNX nodes, error, time."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the systems of the catalog, each with the depths or backbones that it comes in, its paper, and the
    trained weights that come with regard; or show one of them, or one network, with its options.

    Example: regard models --task segmentation --long
    """
    from regard.models.listing import find_networks, list_networks, trained

    rows = list_networks(task) if name is None else find_networks(name)
    weights = trained()
    if as_json:
        print(json.dumps([_fields(row, weights, options=name is not None) for row in rows], indent=2))
    elif name is None and long:
        out.print(_networks_table([row for row in rows if row.measured is not None]))
    elif name is None:
        for each in dict.fromkeys(row.task for row in rows):
            out.print(_systems_table(each, [row for row in rows if row.task == each]), "")
        out.print(_weights_table(rows, weights))
    else:
        first = rows[0]
        out.print(f"{first.paper}, {first.year}. {first.purpose.capitalize()}.")
        out.print(_networks_table(rows))
        if any(row.name in weights for row in rows):
            out.print("", _weights_table(rows, weights))
        for row in rows:
            if row.why_not is not None:
                out.print(f"{row.name} was not exported: {row.why_not}", markup=False)
        out.print("", _options_table(first.name))


def _systems_table(task: str, rows: "Sequence[Row]") -> Table:
    from regard.models.listing import millions, systems

    table = Table(
        "name", "*", "paper", "M params", title=task.replace("_", " "), whole=("name",), figures=("M params",)
    )
    for system in systems(rows):
        first = system.networks[0]
        counts = sorted(row.parameters for row in system.networks)
        least, most = millions(counts[0]), millions(counts[-1])
        table.add(
            system.pattern,
            ", ".join(system.variants),
            f"{first.paper}, {first.year}",
            least if least == most else f"{least} - {most}",
        )
    return table


def _weights_table(rows: "Sequence[Row]", weights: Weights) -> Table:
    table = Table("trained weights", "of network", whole=("trained weights", "of network"))
    for row in rows:
        for tag in weights.get(row.name, []):
            table.add(tag, row.name)
    return table


def _networks_table(rows: "Sequence[Row]") -> Table:
    from regard.models.listing import millions

    table = Table("name", *FACTS, caption=MEANING, whole=("name",), figures=FACTS)
    for row in rows:
        table.add(row.name, millions(row.parameters), *_facts(row))
    return table


def _options_table(name: str) -> Table:
    from regard.models import catalog  # which brings PyTorch
    from regard.models.attention import ATTENTION
    from regard.models.signatures import type_name

    options = catalog.options(name)
    placed = "attention" in options and options["attention"].default is None
    table = Table(
        *("option", "default", "type"),
        title=f"options of {name}, for --set",
        caption=f"attention: {', '.join(ATTENTION)}" if placed else "",
        whole=("option",),
    )
    for key, parameter in options.items():
        table.add(key, _written(parameter.default), type_name(parameter))
    return table


def _fields(row: "Row", weights: Weights, *, options: bool) -> dict[str, Any]:
    fields = row.model_dump(mode="json") | {"weights": weights.get(row.name, [])}
    if options:
        from regard.models import catalog

        fields["options"] = {key: option.default for key, option in catalog.options(row.name).items()}
    return fields


def _facts(row: "Row") -> tuple[str, ...]:
    work = f"{row.multiply_adds / 1e9:.2f}"
    if row.measured is None:
        return (work, "", "", "", "")
    found = row.measured
    return (
        work,
        str(found.nodes),
        f"{found.largest_error:.0e}",
        *("" if ms is None else f"{ms:.0f}" for ms in (found.torch_ms, found.onnxruntime_ms)),
    )


def _written(value: object) -> str:
    """A default as it would be written behind `option=`."""
    return shorten(
        value if isinstance(value, str) else json.dumps(value), LONGEST_DEFAULT, placeholder=" ..."
    )
