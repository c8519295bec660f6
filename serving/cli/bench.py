"""`regard bench`: measure a served model."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from regard.errors import InvalidInput
from regard.serving.cli.completion import served_models
from regard.serving.cli.connection import ApiKey, Ca, Certificate, Key, ProtocolOption, Token, Url
from regard.serving.cli.console import err, out
from regard.serving.cli.options import DEFAULT_REPOSITORY, Json, Repository
from regard.serving.cli.stages import stages


class Endpoint(str, Enum):
    """What is sent."""

    image = "image"
    tensor = "tensor"


def bench(
    model: Annotated[str, typer.Argument(autocompletion=served_models, help="A model's name on the server.")],
    images: Annotated[
        Path | None,
        typer.Option(help="A folder of images, of which the first 64 are sent; by default regard's samples."),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="A file of texts, one a line, of which the first 64 are sent to a model of texts; by "
            "default words drawn from its vocabulary."
        ),
    ] = None,
    concurrency: Annotated[
        str, typer.Option(help="Clients of each closed loop, with commas; '' for none.")
    ] = "1,2,4,8,16",
    sessions: Annotated[
        str,
        typer.Option(help="Sessions at once of a model that remembers, with commas, in place of clients."),
    ] = "",
    rate: Annotated[
        str, typer.Option(help="Arrivals a second of each open loop, with commas; by default none.")
    ] = "",
    endpoint: Annotated[
        Endpoint, typer.Option(help="Send files and texts to MODEL_image or MODEL_text, or tensors to MODEL.")
    ] = Endpoint.image,
    shared_memory: Annotated[
        bool, typer.Option("--shared-memory", help="Pass tensors through system shared memory.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="Images in one request.")] = 1,
    duration: Annotated[float, typer.Option(help="Seconds of one measured window.")] = 2.0,
    repeats: Annotated[int, typer.Option(min=1, help="Measured windows of each load.")] = 5,
    compare: Annotated[
        str,
        typer.Option(
            help=(
                "Runners of the same images, with commas: torch, onnxruntime, triton. The repository must be "
                "the server's."
            )
        ),
    ] = "",
    repository: Repository = DEFAULT_REPOSITORY,
    weights: Annotated[
        Path | None,
        typer.Option(help="With --compare torch: the weights, where they do not come with regard."),
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Write the figures to this file as JSON, too.")] = None,
    as_json: Json = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw throughput and latency against load: .png, .svg or .pdf.")
    ] = None,
    waterfall: Annotated[
        Path | None,
        typer.Option(
            help="Follow the requests of each load from the wire to the network and back, and draw that: "
            ".png, .svg or .pdf."
        ),
    ] = None,
    metrics_url: Annotated[
        str | None,
        typer.Option(
            help="With --waterfall: where the server's metrics are; by default port 8002 of its host."
        ),
    ] = None,
    url: Url = None,
    protocol: ProtocolOption = None,
    ca: Ca = None,
    certificate: Certificate = None,
    key: Key = None,
    api_key: ApiKey = None,
    token: Token = None,
) -> None:
    """Measure a served model: throughput, latency, where the time goes, and how it compares with the same
    network in this process.

    Example: regard bench se_resnet18_fashion_mnist --concurrency 1,4,16 --picture bench.png
    """
    from regard.contract.whole_file import write_text
    from regard.serving.bench.measure import Settings
    from regard.serving.bench.picture import check_suffix, draw
    from regard.serving.bench.run import Options, bench
    from regard.serving.bench.waterfall_picture import draw_waterfalls
    from regard.serving.cli.bench_tables import tables
    from regard.serving.protocol.credentials import Credentials

    for drawn in (picture, waterfall):
        if drawn is not None:
            check_suffix(drawn)
    options = Options(
        model=model,
        url=url,
        protocol=protocol.value if protocol else None,
        credentials=Credentials(ca=ca, certificate=certificate, key=key, api_key=api_key, token=token),
        endpoint=endpoint.value,
        shared_memory=shared_memory,
        batch=batch,
        images=images,
        texts=texts,
        concurrency=[int(clients) for clients in _numbers(concurrency, "--concurrency")],
        sessions=[int(count) for count in _numbers(sessions, "--sessions")],
        rates=_numbers(rate, "--rate"),
        compare=[name.strip() for name in compare.split(",") if name.strip()],
        repository=repository,
        weights=weights,
        waterfall=waterfall is not None,
        metrics=metrics_url,
        settings=Settings(duration=duration, repeats=repeats),
    )
    with stages(f"asking for {model}") as shown:
        report = bench(options, shown.begin)
    if as_json:
        print(report.to_json(), end="")
    else:
        out.print(tables(report))
    if record is not None:
        write_text(record, report.to_json())
        err.print(f"figures -> {record}")
    if picture is not None:
        draw(report, picture)
        err.print(f"picture -> {picture}")
    if waterfall is not None:
        draw_waterfalls(report, waterfall)
        err.print(f"waterfall -> {waterfall}")


def _numbers(text: str, option: str) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",") if each.strip()]
        if option != "--rate" and any(number != int(number) for number in numbers):
            raise ValueError
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{option} takes numbers with commas between them, such as 1,2,4, got {text!r}."
        ) from None
    return numbers
