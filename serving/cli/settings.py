"""`--set`, of every command that builds a network."""

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
