"""What several commands have in common: options under one spelling, and how help is asked for and shown."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_REPOSITORY = Path("model_repository")

Repository = Annotated[Path, typer.Option("--repository", "-r", help="The model repository.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

APP: dict[str, Any] = {
    "no_args_is_help": True,
    "context_settings": {"help_option_names": ["-h", "--help"]},
    # help has boxes where tables have them
    "rich_markup_mode": "rich" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else None,
}
