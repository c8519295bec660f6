"""What several commands have in common: options under one spelling, and how help is asked for and shown."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_REPOSITORY = Path("model_repository")

Repository = Annotated[Path, typer.Option("--repository", "-r", help="The model repository.")]
Data = Annotated[
    Path,
    typer.Option(
        help=(
            "Labelled images: a folder for each label; a CSV with the columns file,label; folders images "
            "and labels (label maps); or MNIST's files."
        )
    ),
]
Split = Annotated[
    str | None, typer.Option(help="A folder in the data, such as val; by default test or val, if any.")
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Take a sample of so many images, the same every time.")
]
Ignore = Annotated[
    int | None,
    typer.Option(min=0, max=255, help="Number of unlabelled pixels in label maps; by default the Card's."),
]
FiguresOfEach = Annotated[
    Path | None,
    typer.Option("--record", help="Write the figures, and each image's, to this file as JSON, too."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

APP: dict[str, Any] = {
    "no_args_is_help": True,
    "context_settings": {"help_option_names": ["-h", "--help"]},
    # help has boxes where tables have them
    "rich_markup_mode": "rich" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else None,
}
