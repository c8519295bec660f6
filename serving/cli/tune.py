"""`regard tune`: find the way to serve a model that answers most requests in time."""

import math
from pathlib import Path
from typing import Annotated

import typer

from regard.serving.cli.addition import Endpoints
from regard.serving.cli.asking import typed
from regard.serving.cli.console import out
from regard.serving.cli.image_bar import image_bar
from regard.serving.cli.options import DEFAULT_REPOSITORY, Json, Limit, Repository, Split
from regard.serving.cli.stages import say
from regard.serving.cli.tuning_bar import tuning_bar

INTERRUPTED = 130  # as a shell says of what Ctrl-C ended


def tune(
    context: typer.Context,
    artifact: Annotated[Path, typer.Argument(help="The folder that `regard export` wrote.")],
    slo: Annotated[
        str,
        typer.Option(help="How long requests may take: p50, p90, p99 or p99.9 = milliseconds or seconds."),
    ] = "p99=50ms",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Labelled images to judge variants by, as for `regard evaluate`; by default their proofs."
        ),
    ] = None,
    split: Split = None,
    limit: Limit = None,
    images: Annotated[
        Path | None,
        typer.Option(help="A folder of images, of which the first 64 are sent; by default regard's samples."),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="Try this variant alone, float32 or another; may be repeated. By default all."),
    ] = None,
    instances: Annotated[
        list[int] | None, typer.Option(help="Try so many instances; may be repeated.")
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(help="Try so many threads each, at most the cores in all; may be repeated."),
    ] = None,
    batching: Annotated[
        bool | None,
        typer.Option(
            "--batching/--no-batching",
            help="Whether requests that wait are worked on together; by default both ways are tried where a "
            "batch is faster than its images one by one.",
            show_default=False,
        ),
    ] = None,
    endpoints: Annotated[
        Endpoints,
        typer.Option(help="What the model is to take; image files are sent, unless it takes tensors alone."),
    ] = Endpoints.both,
    seconds: Annotated[float, typer.Option(help="Seconds of one measurement.")] = 4.0,
    budget: Annotated[
        float | None, typer.Option(help="Seconds after which no other setup is begun; by default no limit.")
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Add the model to the repository, set up as is best.")
    ] = False,
    repository: Repository = DEFAULT_REPOSITORY,
    name: Annotated[
        str | None, typer.Option(help="The name to be served by there; the model's own by default.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Write the figures to this file as JSON, too.")] = None,
    as_json: Json = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw latency, throughput and memory: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Measure on this machine which variant of a model, with how many instances and threads, serves the most
    images within a limit of latency.

    Each is served by a server of its own, under arrivals at random. Ctrl-C ends it and keeps what was
    measured.

    Example: regard tune exported/garments --slo p99=50ms --add --repository model_repository
    """
    from regard.contract.whole_file import write_text
    from regard.serving.bench.images import read_images
    from regard.serving.bench.picture import check_suffix
    from regard.serving.cli.tune_table import tables
    from regard.serving.evaluate.data import find_data
    from regard.serving.repository.add import check_addable
    from regard.serving.tune.accuracy import measured, recorded
    from regard.serving.tune.candidates import find_candidates
    from regard.serving.tune.chosen import add_chosen
    from regard.serving.tune.picture import draw
    from regard.serving.tune.run import Options, tune
    from regard.serving.tune.slo import parse_slo
    from regard.serving.tune.sweep import Listener

    if picture is not None:
        check_suffix(picture)
    if not add and (idle := typed(("repository", "name"), context)):
        raise typer.BadParameter("it is for --add, which is missing", context, param_hint=f"--{idle[0]}")
    options = Options(
        slo=parse_slo(slo),
        instances=instances or None,
        threads=threads or None,
        batching=batching,
        images=None if images is None else read_images(images),
        endpoints=endpoints.value,
        seconds=seconds,
        budget=math.inf if budget is None else budget,
    )
    candidates = find_candidates(artifact, variant or None)
    for left_out, reason in candidates.left_out.items():
        say(f"the variant {left_out} is left out: {reason}")
    if add:
        for candidate in candidates.able:
            check_addable(candidate.artifact, repository, name=name, endpoints=endpoints.value)
    accuracy = recorded(candidates.able)
    if data is not None:
        labelled = find_data(data, candidates.able[0].artifact.card, split=split, limit=limit)
        with image_bar(len(labelled.images)) as advance:
            accuracy = measured(candidates.able, labelled, advance)
    with tuning_bar() as watch:
        tuning = tune(candidates.able, accuracy, options, Listener(watch, say))
    if as_json:
        print(tuning.to_json(), end="")
    else:
        out.print(tables(tuning))
    if record is not None:
        write_text(record, tuning.to_json())
        say(f"figures -> {record}")
    if picture is not None and tuning.trials:
        draw(tuning, picture)
        say(f"picture -> {picture}")
    if tuning.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if tuning.chosen is None:
        raise typer.Exit(1)
    if add:
        added = add_chosen(tuning.chosen, candidates.able, repository, name=name, endpoints=endpoints.value)
        say(f"added {added.name} version {added.version} to {repository}: {tuning.chosen.setup}")
