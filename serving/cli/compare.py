"""`regard compare`: several models side by side on the same labelled images."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from regard.serving.cli.completion import served_models
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
from regard.serving.cli.stages import stages
from regard.serving.cli.subjects import subjects_of


def compare(
    context: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(
            autocompletion=served_models,
            help=(
                "Two or more: names on the server, NAME@2 for a version; folders of exported models or of "
                "variants; networks by PyTorch, NETWORK@WEIGHTS (a file, a tag or 'random')."
            ),
        ),
    ],
    data: Data,
    split: Split = None,
    limit: Limit = None,
    ignore: Ignore = None,
    load: Annotated[
        int | None,
        typer.Option(min=1, help="Measure throughput as well: so many clients at once, in turns."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Draw the images that differ most into this folder (PNG)."),
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
    """Compare models on the same labelled images: accuracy with an interval, agreement with the first one,
    latency and size, and which to take.

    Example: regard compare exported/se exported/simam --data /usr/share/datasets/fashion-mnist --limit 1000
    """
    from regard.contract.whole_file import write_text
    from regard.serving.cli.compare_table import table
    from regard.serving.evaluate.compare import check_comparable, compare
    from regard.serving.evaluate.data import find_data
    from regard.serving.evaluate.memory import memory_of
    from regard.serving.evaluate.sheet import draw_differing
    from regard.serving.evaluate.throughput import throughputs

    if folder is not None:
        import matplotlib.figure  # noqa: F401 - said now, not after minutes of judging
    server = client_options(url, protocol, ca, certificate, key, api_key, token, timeout)
    with subjects_of(models, server, context) as subjects:
        check_comparable(subjects)
        labelled = find_data(data, subjects[0].card, split=split, limit=limit)
        with image_bar(len(labelled.images)) as advance:
            comparison = compare(subjects, labelled, ignore_index=ignore, advance=advance)
        with err.status("measuring memory"):
            comparison = replace(comparison, memory=[memory_of(each, labelled) for each in subjects])
        if load is not None:
            with stages(f"measuring throughput with {load} clients") as shown:
                found = throughputs(subjects, labelled, load, shown.begin)
            comparison = replace(comparison, throughputs=found)
        picture = None if folder is None else draw_differing(comparison, folder)
    text = comparison.to_json()
    if as_json:
        print(text, end="")
    else:
        out.print(table(comparison))
    if record is not None:
        write_text(record, text)
        err.print(f"figures -> {record}", markup=False, highlight=False)
    if folder is not None:
        drawn = f"picture -> {picture}" if picture else "no picture: all answers are alike"
        err.print(drawn, markup=False, highlight=False)
