"""`regard predict`: classes or label maps of image files, from an exported model or a running server."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track

from regard.serving.cli.asking import asking
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
from regard.serving.cli.options import Json
from regard.serving.cli.tables import Table

if TYPE_CHECKING:
    from regard.serving.client.output import Entry

SHOWN_LABELS = 4  # of a segmentation, in the table


def predict(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            autocompletion=models_and_artifacts,
            help="A model's name on the server; or the folder of an exported one, which needs no server.",
        ),
    ],
    images: Annotated[
        list[Path], typer.Argument(help="Image files, folders of them, and patterns in quotes.")
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help=(
                "Write a segmentation's masks and overlays (PNG) to this folder, or the heat maps of a "
                "classifier that explains itself."
            ),
        ),
    ] = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL|NUMBER",
            help="Leave this class out of the overlays, such as a background; may be repeated.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes of a classification to show.")] = 3,
    threshold: Annotated[
        float | None,
        typer.Option(help="Where labels apply together: from which probability, in place of the Card's."),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write the answers to this file, too: .csv or .jsonl.")
    ] = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
    url: Url = None,
    protocol: ProtocolOption = None,
    ca: Ca = None,
    certificate: Certificate = None,
    key: Key = None,
    api_key: ApiKey = None,
    token: Token = None,
) -> None:
    """Predict images with a model on a running server, or with an exported one: a table of classes, or masks
    and overlays of a segmentation.

    A bad image is reported and does not stop the others; the exit code is then 1.

    Example: regard predict exported/streets street/ --out predictions
    """
    from regard.serving.client.output import expand, predict_files
    from regard.serving.client.record import check_suffix, write_record

    if record is not None:
        check_suffix(record)
    files = expand(images)
    entries: list[Entry] = []
    server = client_options(url, protocol, ca, certificate, key, api_key, token, timeout)
    with asking(model, server, context) as (client, name):
        try:
            progress = track(
                predict_files(
                    client,
                    name,
                    files,
                    top_k=top,
                    out=folder,
                    threshold=threshold,
                    clear=_classes(clear or []),
                ),
                total=len(files),
                console=err,
                transient=True,
                disable=len(files) < 2,
            )
            for entry in progress:
                entries.append(entry)  # noqa: PERF402 - kept one by one, for the table below
        finally:  # what is done is shown, even if the server dies on the way
            if as_json:
                print(json.dumps([entry.to_json() for entry in entries], indent=2))
            elif entries:
                out.print(_table(entries, top))
            if record is not None and entries:
                write_record(entries, record)
                err.print(f"answers -> {record}", markup=False, highlight=False)
    failed = [entry for entry in entries if entry.failed]
    if folder is not None and not failed and not any(entry.written for entry in entries):
        err.print(
            f"regard: nothing to write to {folder}: {name} answers classes, and was exported without "
            "--explain cam or gradcam",
            markup=False,
            highlight=False,
        )
    for entry in failed:
        err.print(f"regard: {entry.result}", markup=False, highlight=False)
    if failed:
        err.print(
            f"regard: {len(failed)} of {len(entries)} images failed; the others are done.", highlight=False
        )
        raise typer.Exit(1)


def _classes(named: list[str]) -> list[str | int]:
    return [int(each) if each.isdecimal() else each for each in named]


def _table(entries: "list[Entry]", top: int) -> Table:
    from rich.text import Text

    from regard.contract.results import Classification

    classes = [entry.result for entry in entries if isinstance(entry.result, Classification)]
    # of labels that exclude each other the likeliest alone applies
    apply = ("labels",) if any(each.labels != (each.label,) for each in classes) else ()
    files = ("files",) if any(entry.written for entry in entries) else ()
    table = Table("image", "answer", *apply, *files, whole=("image", "files"))
    for entry in entries:
        labels = ""
        if isinstance(entry.result, Classification):
            answer = Text(
                ", ".join(f"{label} {probability:.1%}" for label, probability in entry.result.top[:top])
            )
            labels = ", ".join(entry.result.labels) or "none"
        elif isinstance(entry.result, dict):
            largest = sorted(entry.result.items(), key=lambda pair: -pair[1])[:SHOWN_LABELS]
            answer = Text(", ".join(f"{label} {fraction:.1%}" for label, fraction in largest if fraction))
        else:
            answer = Text("failed, see below", style="red")
        written = "\n".join(map(str, entry.written.values()))
        table.add(str(entry.image), answer, *([labels] if apply else ()), *([written] if files else ()))
    return table
