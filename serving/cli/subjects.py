"""The models that a command names side by side, each in one word.

NAME, NAME@2       a model on the server, and a version of it
exported/garments  a folder with an exported model, or with a variant of one
NETWORK@WEIGHTS    a network by PyTorch, with a file of weights, the tag of those that come with regard, or
                   'random'; a callable may have its own
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from regard.serving.cli.asking import is_artifact, is_path, refuse_server_options

if TYPE_CHECKING:
    from regard.serving.client.sync import Client
    from regard.serving.evaluate.subject import Subject

SOURCE = "@"  # between a name and its version or weights


@contextmanager
def subjects_of(
    models: Sequence[str], server: Mapping[str, Any], context: typer.Context
) -> "Iterator[list[Subject]]":
    """The models, each under the name that it was given; those on the server share a client.

    server: the command's options for one, as a Client takes them.

    Raises:
        BadParameter: such an option on the command line, and nothing but models that run in this process.
        RegardError: one is not there, or cannot be run.
    """
    from regard.serving.client.sync import Client

    if all(is_path(model) or _is_network(model) for model in models):
        refuse_server_options(models[0], server, context)
    with Client(**server) as client:
        yield [replace(_subject(model, client, server, context), name=model) for model in models]


def _subject(model: str, client: "Client", server: Mapping[str, Any], context: typer.Context) -> "Subject":
    from regard.serving.evaluate.subject import artifact, network, served

    name, _, source = model.partition(SOURCE)
    if _is_network(model):
        from regard.models.load import resolve

        return network(*resolve(name, weights=source or None))
    if is_path(model) or (not source and is_artifact(model, server, context)):
        return replace(artifact(Path(model)), way="in this process")
    return served(client, name, version=source)


def _is_network(model: str) -> bool:
    """Whether MODEL is run by PyTorch: a network with weights, not a name with a version, or a callable."""
    name, at, source = model.partition(SOURCE)
    return not is_path(name) and not source.isdecimal() and bool(at or ":" in name)
