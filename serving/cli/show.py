"""`regard show`: what an exported model or a model of a repository is, on one page."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from regard.contract.names import OPERATORS_FILE
from regard.serving.cli.completion import served_models
from regard.serving.cli.console import out
from regard.serving.cli.options import DEFAULT_REPOSITORY, Json, Repository
from regard.serving.cli.proof import show_certificates
from regard.serving.cli.tables import Table

if TYPE_CHECKING:
    from regard.serving.page import Page


def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ARTIFACT|MODEL",
            autocompletion=served_models,
            help="An exported model's folder, or the name of a model in the repository.",
        ),
    ],
    repository: Repository = DEFAULT_REPOSITORY,
    as_json: Json = False,
) -> None:
    """Show the Card, inputs and outputs, variants, engines, certificates and files of a model; of one in a
    repository also the settings that differ from what regard writes.

    Example: regard show exported/garments
    """
    from regard.serving.show import page_of

    page = page_of(what, repository)
    if as_json:
        print(json.dumps(page.to_json(), indent=2))
    else:
        _print(page)


def _print(page: "Page") -> None:
    from regard.serving.cli.engine_table import engine_table, layer_types_table
    from regard.serving.cli.variant_proof import show_proof

    card = page.card
    proven = "[green]proven[/green]" if page.unproven is None else f"[red]unproven[/red]: {page.unproven}"
    out.print(f"[bold]{card.name}[/bold] in {page.folder}: {card.task}, {proven}")
    facts = Table("", "")
    for name, value in page.facts.items():
        facts.add(name, value)
    out.print(facts)
    tensors = Table("", "tensor", "type", "dimensions", whole=("tensor",))
    for tensor in page.tensors:
        tensors.add(tensor.direction, tensor.name, tensor.type, str(list(tensor.dims)))
    out.print(tensors)
    show_certificates(card.certificates)
    for variant in page.variants:
        graph = variant.file or "the same graph"
        out.print(f"variant [bold]{variant.name}[/bold]: {variant.precision} by {variant.runtime}, {graph}")
        if variant.operators:
            computed = "their bodies" if variant.operators_sha256 is None else OPERATORS_FILE
            out.print(f"  {', '.join(variant.operators)} by {computed}", markup=False)
        show_proof(variant)
    for engine in page.engines:
        out.print(engine_table(engine))
        out.print(layer_types_table(engine.plan.layers))
        show_certificates(engine.plan.certificates)
    files = Table("file", "bytes", "SHA-256", whole=("file", "SHA-256"), figures=("bytes",))
    for file in page.files:
        files.add(file.path, str(file.bytes), file.sha256)
    out.print(files)
    for fact in page.engine:
        out.print(f"engine: {fact}", highlight=False)
    for note in page.served:
        out.print(f"served now: {note}", highlight=False)
    for setting in page.settings:
        out.print(f"set by the operator: {setting}")
