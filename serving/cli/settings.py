"""Options that several commands share: `--set` of what builds a network, `--key` of what reads weights."""

from typing import Annotated

import typer

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help=(
            "An option of the network, such as classes=10, width=32 or attention=se; may be repeated. "
            "`regard models NAME` lists those of a network of the catalog."
        ),
    ),
]

WeightsKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="NAME",
        help=(
            "Which state dict of the file, where it holds several, such as model or ema; with dots where "
            "there are several levels."
        ),
    ),
]
