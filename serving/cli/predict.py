"""`regard predict`: what an exported model or one on a running server says of images, videos or texts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track

from regard.errors import InvalidInput
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
    from regard.contract.card import Card
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
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Image files, folders of them, and patterns in quotes; for a model that remembers, videos: "
            "folders of frames or animated files; for a model of texts, the texts, or files of them."
        ),
    ],
    question: Annotated[
        list[str] | None,
        typer.Option(help="What is asked about each input; may be repeated."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help=(
                "Write pictures (PNG) to this folder: a segmentation's masks and overlays, the heat maps of "
                "a classifier that explains itself, where words looked, poses, reconstructions."
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
    """Ask a model on a running server, or an exported one, about images, videos or texts: a table of its
    answers, and pictures of them.

    A bad input is reported and does not stop the others; the exit code is then 1.

    Example: regard predict exported/streets street/ --out predictions
    """
    from regard.serving.client import output
    from regard.serving.client.asked import asked_of, videos_of
    from regard.serving.client.record import check_suffix, write_record

    if record is not None:
        check_suffix(record)
    entries: list[Entry] = []
    server = client_options(url, protocol, ca, certificate, key, api_key, token, timeout)
    with asking(model, server, context) as (client, name):
        card, questions, classes = client.card(name), question or (), _classes(clear or [])
        total: int | None = None
        _check_questions(card, questions)
        if card.state is not None:
            if threshold is not None:
                raise InvalidInput(f"{name} is shown frames alone: leave --threshold out")
            answers = output.predict_videos(client, name, videos_of(inputs), out=folder, clear=classes)
        else:
            asked = asked_of(card, inputs)
            total = len(asked) * max(1, len(questions))
            answers = output.predict_files(
                client,
                name,
                asked,
                questions=questions,
                top_k=top,
                out=folder,
                threshold=threshold,
                clear=classes,
            )
        try:
            progress = track(
                answers, total=total, console=err, transient=True, disable=total is not None and total < 2
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
        classifier = card.answer.kind == "classes" and card.pixels is not None
        why = "answers classes, and was exported without --explain cam or gradcam"
        err.print(
            f"regard: nothing to write to {folder}: {name} "
            + (why if classifier else "gives no pictures of its answers"),
            markup=False,
            highlight=False,
        )
    for entry in failed:
        err.print(f"regard: {entry.result}", markup=False, highlight=False)
    if failed:
        err.print(
            f"regard: {len(failed)} of {len(entries)} {_plural(entries)} failed"
            + ("; the others are done." if len(failed) < len(entries) else "."),
            highlight=False,
        )
        raise typer.Exit(1)


def _check_questions(card: "Card", questions: Sequence[str]) -> None:
    """Refuse a question for a model without one, and the lack of one."""
    first, *asked = [kind.tensor for kind in card.inputs]
    if questions and not asked:
        raise InvalidInput(f"{card.name} is for {card.task}, and is asked no question: leave --question out")
    if asked and not questions:
        raise InvalidInput(f"{card.name} takes {first} and {asked[0]}: give the {asked[0]} by --question")


def _classes(named: list[str]) -> list[str | int]:
    return [int(each) if each.isdecimal() else each for each in named]


def _table(entries: "list[Entry]", top: int) -> Table:
    from rich.text import Text

    from regard.contract.results import Classification
    from regard.errors import RegardError

    classes = [entry.result for entry in entries if isinstance(entry.result, Classification)]
    # of labels that exclude each other the likeliest alone applies
    apply = ("labels",) if any(each.labels != (each.label,) for each in classes) else ()
    files = ("files",) if any(entry.written for entry in entries) else ()
    named = list(entries[0].named)
    table = Table(*named, "answer", *apply, *files, whole=("image", "files"))
    for entry in entries:
        failed = isinstance(entry.result, RegardError)
        answer = Text("failed, see below", style="red") if failed else Text(_answer(entry, top))
        labels = ", ".join(getattr(entry.result, "labels", ())) or "none"
        written = "\n".join(map(str, entry.written.values()))
        table.add(*entry.named.values(), answer, *([labels] if apply else ()), *([written] if files else ()))
    return table


def _answer(entry: "Entry", top: int) -> str:
    """The result in a line."""
    from regard.contract.results import Classification, Pose, Reconstruction, Text

    match entry.result:
        case Classification() as classes:
            return ", ".join(f"{label} {probability:.1%}" for label, probability in classes.top[:top])
        case dict() as area:
            largest = sorted(area.items(), key=lambda pair: -pair[1])[:SHOWN_LABELS]
            return ", ".join(f"{label} {fraction:.1%}" for label, fraction in largest if fraction)
        case Text() as said:
            return said.text
        case Pose() as pose:
            return ", ".join(f"{name} {x:.0f} {y:.0f}" for name, (x, y) in pose.joints.items())
        case Reconstruction(pixels=pixels):
            return f"{pixels.shape[1]} x {pixels.shape[0]} pixels"
    return ""


def _plural(entries: "list[Entry]") -> str:
    return "texts" if isinstance(entries[0].about, str) else "images"
