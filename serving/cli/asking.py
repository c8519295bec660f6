"""What a verb's MODEL means: an exported model, which runs in this process, or a model on a server."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from regard.contract.names import MANIFEST_FILE
from regard.errors import InferenceError, InvalidInput, ServerUnreachable, UnknownName

if TYPE_CHECKING:
    from regard.serving.client.sync import Client

QUICK = 2.0  # seconds that a server has to say whether it serves a name that is a folder as well


@contextmanager
def asking(model: str, server: Mapping[str, Any], context: typer.Context) -> Iterator[tuple["Client", str]]:
    """A client, and the name that the model has for it. MODEL is an artifact where it is a path with a slash,
    or a folder here that holds a manifest; else it is a name on the server.

    server: the command's options for one, as a Client takes them.

    Raises:
        BadParameter: such an option on the command line, and a path.
        InvalidInput: no artifact; or the server has a model of the folder's name.
    """
    if is_artifact(model, server, context):
        from regard.serving.local.model import LocalModel

        local = LocalModel(Path(model))
        yield local.client, local.name
    else:
        from regard.serving.client.sync import Client

        with Client(**server) as client:
            yield client, model


def is_artifact(model: str, server: Mapping[str, Any], context: typer.Context) -> bool:
    """Whether MODEL is a folder here; arguments and errors as of `asking`."""
    if is_path(model):
        refuse_server_options(model, server, context)
        return True
    if typed(server, context) or not (Path(model) / MANIFEST_FILE).is_file():
        return False
    if _serves(model, server):
        raise InvalidInput(
            f"{model!r} is a model on the server, and a folder with an exported model: write ./{model} for "
            "the folder, or say --url for the server"
        )
    return True


def refuse_server_options(model: str, server: Mapping[str, Any], context: typer.Context) -> None:
    """For a model that runs in this process.

    Raises:
        BadParameter: an option for a server on the command line.
    """
    for name in typed(server, context):
        raise typer.BadParameter(
            f"it is for a server, and {model} runs in this process: leave it out, or name a model of the "
            "server",
            context,
            param_hint=f"--{name.replace('_', '-')}",
        )


def is_path(model: str) -> bool:
    """Whether MODEL is written as a path, which no model on a server is."""
    return os.sep in model or model in (os.curdir, os.pardir)


def typed(options: Iterable[str], context: typer.Context) -> list[str]:
    """Those of a command's options that stand on the command line, and not in the environment alone."""
    sources = {name: context.get_parameter_source(name) for name in options}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]


def _serves(model: str, server: Mapping[str, Any]) -> bool:
    """Whether a server answers, and has a model of this name."""
    from regard.serving.client.sync import Client

    try:
        with Client(**{**server, "timeout": QUICK}) as client:
            client.card(model)
    except (ServerUnreachable, UnknownName, InferenceError):
        return False
    return True
