"""`regard show`: what an exported model or a model of a repository is, on one page."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from regard.serving.cli.console import out
from regard.serving.cli.proof import show_certificates

if TYPE_CHECKING:
    from regard.serving.show import Page


def show(
    what: Annotated[
        str, typer.Argument(metavar="ARTIFACT|MODEL", help="An exported model's folder, or a model's name.")
    ],
    repository: Annotated[
        Path, typer.Option("--repository", "-r", help="The repository to look for the name in.")
    ] = Path("model_repository"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the Card, inputs and outputs, variants, certificates and files of a model; of one in a repository
    also the settings that differ from what regard writes.

    Example: regard show exported/garments
    """
    from regard.serving.show import page_of

    page = page_of(what, repository)
    if as_json:
        print(json.dumps(page.to_json(), indent=2))
    else:
        _print(page)


def _print(page: "Page") -> None:
    card = page.card
    proven = "[green]proven[/green]" if page.unproven is None else f"[red]unproven[/red]: {page.unproven}"
    out.print(f"[bold]{card.name}[/bold] in {page.folder}: {card.task}, {proven}")
    facts = Table(show_header=False)
    for name, value in page.facts.items():
        facts.add_row(name, value)
    out.print(facts)
    tensors = Table("", "tensor", "type", "dimensions")
    for tensor in page.tensors:
        tensors.add_row(tensor.direction, tensor.name, tensor.type, str(list(tensor.dims)))
    out.print(tensors)
    show_certificates(card.certificates)
    for variant in page.variants:
        out.print(f"variant [bold]{variant.name}[/bold]: {variant.precision}, {variant.file}")
        show_certificates(variant.certificates)
    files = Table("file", "bytes", "SHA-256")
    for file in page.files:
        files.add_row(file.path, str(file.bytes), file.sha256)
    out.print(files)
    for setting in page.settings:
        out.print(f"set by the operator: {setting}")
