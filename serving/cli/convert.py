"""`regard convert`: a checkpoint of torchvision, timm or mmsegmentation under regard's names."""

import json
from pathlib import Path
from typing import Annotated

import typer

from regard.serving.cli.completion import networks
from regard.serving.cli.console import out
from regard.serving.cli.options import Json
from regard.serving.cli.settings import Settings, WeightsKey
from regard.serving.cli.stages import say
from regard.serving.cli.tables import Table


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A file with a state dict: .safetensors, or PyTorch's.")],
    to: Annotated[
        str, typer.Option(autocompletion=networks, help="The network it is for, a name of `regard models`.")
    ],
    file: Annotated[
        Path, typer.Option("--out", "-o", help="The .safetensors file to write; its Card goes beside it.")
    ],
    library: Annotated[
        str | None,
        typer.Option("--from", help="Whose names it has: torchvision, timm or mmseg; found out by default."),
    ] = None,
    settings: Settings = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of the checkpoint's keys to leave out, such as 'auxiliary_head.*'."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of the network's keys to leave untrained, such as 'auxiliary.*'."),
    ] = None,
    key: WeightsKey = None,
    as_json: Json = False,
) -> None:
    """Convert a public checkpoint, and account for every key of both sides; keys without a place are an error
    unless you drop them.

    Example: regard convert seresnet50.pt --to se_resnet50 -o weights/se.safetensors
    """
    from regard.models.convert.conversion import convert_checkpoint
    from regard.models.options import parse_options

    done = convert_checkpoint(
        checkpoint,
        to,
        file,
        library=library,
        options=parse_options(settings or []),
        drop=drop or [],
        keep=keep or [],
        key=key,
        report=say,
    )
    if as_json:
        rows = [row.__dict__ for row in done.rows]
        print(
            json.dumps(
                {"weights": str(done.weights), "card": str(done.card), "from": done.library, "keys": rows},
                indent=2,
            )
        )
        return
    table = Table(
        *("in the checkpoint", "in the network", ""),
        title=f"{checkpoint} with the names of {done.library}",
        whole=("in the checkpoint", "in the network"),
    )
    for row in done.rows:
        if row.what != "as it is":
            table.add(row.source or "", row.target or "", row.what)
    if table.rows:
        out.print(table)
    counts = ", ".join(f"{count} {what}" for what, count in done.counts.items())
    out.print(f"{len(done.rows)} keys: {counts}", markup=False)
    out.print(f"{to} is in [bold]{done.weights}[/bold], its Card in {done.card}")
