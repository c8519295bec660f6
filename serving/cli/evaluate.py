"""`regard evaluate`: how good a model's answers to labelled images are."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard.errors import InvalidInput
from regard.serving.cli.asking import is_artifact, is_path, refuse_server_options
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
from regard.serving.cli.options import Data, FiguresOfEach, Ignore, Json, Limit, Split

if TYPE_CHECKING:
    from regard.serving.evaluate.layouts import LabelledImage
    from regard.serving.evaluate.metrics.metrics import Judged, Result
    from regard.serving.evaluate.subject import Subject


def evaluate(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            autocompletion=models_and_artifacts,
            help=(
                "A model's name on the server; the folder of an exported model or of one of its variants; or "
                "a network, as `regard export` takes it, with --weights."
            ),
        ),
    ],
    data: Data,
    split: Split = None,
    limit: Limit = None,
    ignore: Ignore = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Run the network MODEL by PyTorch with these: a file, a tag, or 'random'."),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(help="With --weights: the Card's JSON file; by default the one beside them."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Draw the confusion matrix and the worst images into this folder (PNG)."
        ),
    ] = None,
    record: FiguresOfEach = None,
    as_json: Json = False,
    timeout: Timeout = 30.0,
    url: Url = None,
    protocol: ProtocolOption = None,
    ca: Ca = None,
    certificate: Certificate = None,
    key: Key = None,
    api_key: ApiKey = None,
    token: Token = None,
) -> None:
    """Judge a model by labelled images: accuracy and confusion of classes, mean IoU of pixels, mean average
    precision where several labels apply.

    Example: regard evaluate exported/garments --data /usr/share/datasets/fashion-mnist --out judged
    """
    from regard.contract.whole_file import write_text
    from regard.serving.cli.evaluate_tables import tables
    from regard.serving.evaluate.data import find_data
    from regard.serving.evaluate.pictures import SHOWN, draw
    from regard.serving.evaluate.run import evaluate
    from regard.serving.evaluate.worst import Worst

    if folder is not None:
        import matplotlib.figure  # noqa: F401 - said now, not after minutes of judging
    server = client_options(url, protocol, ca, certificate, key, api_key, token, timeout)
    with _subject(model, weights, card, server, context) as judged:
        labelled = find_data(data, judged.card, split=split, limit=limit)
        worst = Worst(SHOWN)
        with image_bar(len(labelled.images)) as advance:

            def watch(image: "LabelledImage", result: "Result", judged: "Judged") -> None:
                worst.watch(image, result, judged)
                advance()

            evaluation = evaluate(judged, labelled, ignore_index=ignore, watch=watch)
    if as_json:
        print(evaluation.to_json(), end="")
    else:
        out.print(tables(evaluation))
    if record is not None:
        write_text(record, evaluation.to_json())
        err.print(f"figures -> {record}", markup=False, highlight=False)
    if folder is not None:
        for picture in draw(evaluation, worst.kept(), folder):
            err.print(f"picture -> {picture}", markup=False, highlight=False)


@contextmanager
def _subject(
    model: str, weights: str | None, card: Path | None, server: Mapping[str, Any], context: typer.Context
) -> "Iterator[Subject]":
    """What MODEL means: a network where there are weights or a callable, else as for `regard predict`."""
    from regard.serving.client.sync import Client
    from regard.serving.evaluate import subject

    if weights is not None or (":" in model and not is_path(model)):
        refuse_server_options(model, server, context)
        from regard.models.load import resolve

        yield subject.network(*resolve(model, weights=weights, card=card))
        return
    if card is not None:
        raise InvalidInput(f"--card is for a network with --weights; {model} has a Card of its own.")
    if is_artifact(model, server, context):
        yield subject.artifact(Path(model))
        return
    with Client(**server) as client:
        yield subject.served(client, model)
