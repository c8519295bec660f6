"""`regard batch`: a model's answers to a whole store of images, as Parquet files."""

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regard.errors import RegardError
from regard.serving.cli.asking import is_artifact
from regard.serving.cli.completion import models_and_artifacts
from regard.serving.cli.connection import (
    ApiKey,
    Ca,
    Certificate,
    Key,
    ProtocolOption,
    Timeout,
    Token,
    Url,
    client_options,
)
from regard.serving.cli.console import err, out
from regard.serving.cli.image_bar import image_bar
from regard.serving.cli.options import Json
from regard.serving.cli.subjects import SOURCE

if TYPE_CHECKING:
    from regard.serving.batch.run import Summary
    from regard.serving.batch.worker import Done

SERVED_WORKERS = 4  # each has four requests under way


def batch(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            autocompletion=models_and_artifacts,
            help=(
                "The folder of an exported model, which the workers compute; or a model's name on a server, "
                "or NAME@VERSION, which they ask."
            ),
        ),
    ],
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help=(
                "A folder of images, subfolders included; or, with --column, a Parquet file or a folder of "
                "some. A path, or a URL such as s3://bucket/folder."
            ),
        ),
    ],
    output: Annotated[
        str, typer.Argument(help="The folder for the Parquet files with the answers, a path or a URL.")
    ],
    column: Annotated[
        str | None,
        typer.Option(help="The column of the Parquet files that holds whole images, or their paths."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes; by default one for each processor, and at most 4 that ask a served model.",
        ),
    ] = None,
    part: Annotated[
        int,
        typer.Option(
            "--batch",
            min=1,
            help="Images for each file; so many are computed again if a worker dies.",
        ),
    ] = 256,
    top: Annotated[int, typer.Option(min=1, help="How many classes of a classification to keep.")] = 5,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first images, for a trial; later the rest follows.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="A Ray cluster that computes, host:port; by default this machine does."),
    ] = None,
    as_json: Json = False,
    timeout: Timeout = 60.0,
    url: Url = None,
    protocol: ProtocolOption = None,
    ca: Ca = None,
    certificate: Certificate = None,
    key: Key = None,
    api_key: ApiKey = None,
    token: Token = None,
) -> None:
    """Answer every image of a folder or of Parquet files, each once, into Parquet files.

    An image that cannot be answered is a row with its error. Killed or interrupted, the same command goes on
    where it stopped.

    Example: regard batch exported/garments photos/ answers/
    """
    if find_spec("ray") is None:  # not imported here: its settings are read when it is
        raise ModuleNotFoundError(name="ray")
    from regard.serving.batch.model import ArtifactModel, ServedModel
    from regard.serving.batch.ray_pool import on_ray
    from regard.serving.batch.run import batch

    server = client_options(url, protocol, ca, certificate, key, api_key, token, timeout)
    answering: ArtifactModel | ServedModel
    if is_artifact(model, server, context):
        answering = ArtifactModel(Path(model).absolute())
    else:
        name, _, version = model.partition(SOURCE)
        answering = ServedModel(name, version, server)
        if workers is None and address is None:
            workers = min(SERVED_WORKERS, len(os.sched_getaffinity(0)))
    bar = _Bar()
    try:
        with bar:
            summary = batch(
                answering,
                source,
                output,
                column=column,
                part_size=part,
                top=top,
                limit=limit,
                pool=on_ray(workers, address=address),
                begin=bar.begin,
                watch=bar.watch,
            )
    except (RegardError, KeyboardInterrupt):
        if bar.total:
            err.print(
                f"regard: {bar.done} of {bar.total} images are done; the same command goes on from there.",
                highlight=False,
            )
        raise
    if as_json:
        print(json.dumps(asdict(summary) | {"images_per_second": summary.images_per_second}, indent=2))
    else:
        out.print(_line(summary), markup=False, highlight=False)


class _Bar:
    """The progress of a batch, whose size is known when it begins."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self._stack = ExitStack()
        self._advance: Callable[[int], None] = lambda count: None

    def __enter__(self) -> None:
        self._stack.__enter__()

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self, images: int, done: int) -> None:
        self.total, self.done = images, done
        if done:
            err.print(f"{done} of {images} images are done already", highlight=False)
        self._advance = self._stack.enter_context(image_bar(images - done, "answering"))

    def watch(self, done: "Done") -> None:
        self.done += done.images
        self._advance(done.images)


def _line(summary: "Summary") -> str:
    answered = summary.images - summary.done_before
    if not answered:
        return f"nothing to do: all {summary.images} images are answered -> {summary.output}"
    failed = f", {summary.failed} of them failed (column error)" if summary.failed else ""
    before = f", {summary.done_before} before" if summary.done_before else ""
    return (
        f"{answered} images answered{failed}{before}; {summary.seconds:.1f} s, "
        f"{summary.images_per_second:.1f} images/s -> {summary.output}"
    )
