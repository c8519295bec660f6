"""`regard up` and `regard down`: the stack of docker-compose.yml, through Docker Compose."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from regard.serving.cli.console import err, out
from regard.serving.cli.options import Json
from regard.serving.cli.tables import Table

if TYPE_CHECKING:
    from regard.serving.deploy.stack.running import Running

Project = Annotated[
    Path, typer.Option("--project", help="The folder of docker-compose.yml: a clone of regard.")
]


def up(
    project: Project = Path(),
    gpu: Annotated[bool, typer.Option("--gpu", help="With this machine's NVIDIA GPUs.")] = False,
    dev: Annotated[
        bool, typer.Option("--dev", help="Without TLS and keys, reached from this machine alone.")
    ] = False,
    build: Annotated[
        bool, typer.Option("--build", help="Make the images again, as after an update of regard.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds for the containers to be ready, once they are started.")
    ] = 900.0,
    as_json: Json = False,
) -> None:
    """Start the stack on ./model_repository with Docker Compose, wait until it serves, and say how to call
    it: NVIDIA's Triton behind a gateway, with keys that are made at the first start, and Prometheus.

    What a client needs is copied to deployment/client: ca.pem, api_key, operator_key.

    Example: regard up --gpu
    """
    from regard.serving.deploy.stack.up import up as bring_up

    with err.status("asking Docker Compose") as status:
        running = bring_up(
            project,
            gpu=gpu,
            dev=dev,
            build=build,
            timeout=timeout,
            report=lambda line: status.update(Text(line, overflow="ellipsis", no_wrap=True)),
        )
    for warning in running.warnings:
        err.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)
    if as_json:
        print(json.dumps(running.to_json(), indent=2))
        return
    table = Table("", "", whole=("",))
    table.add("HTTP", running.http)
    table.add("gRPC", running.grpc)
    if running.api_key is not None:
        table.add("key of a client", str(running.api_key))
        table.add("key of the operator", str(running.operator_key))
        table.add("certificate", str(running.ca))
    table.add("Prometheus", running.prometheus)
    table.add("Triton", running.release)
    table.add("models", ", ".join(running.models))
    out.print(table)
    out.print(f"try: {_client_line(running)}", markup=False, highlight=False)


def _client_line(running: "Running") -> str:
    """A command that sends a model's goldens through the gateway."""
    model = running.models[0] if running.models else "MODEL"
    line = f"regard verify {model} --repository {running.repository} --url {running.grpc}"
    if running.ca is None:
        return line
    return f"REGARD_API_KEY=$(cat {running.api_key}) {line} --ca {running.ca}"


def down(
    project: Project = Path(),
    volumes: Annotated[
        bool,
        typer.Option("--volumes", help="Remove keys, certificates, measurements and engines, too."),
    ] = False,
) -> None:
    """End and remove the containers of the stack; requests under way are answered first.

    Example: regard down
    """
    from regard.serving.deploy.stack.up import down as take_down

    with err.status("asking Docker Compose") as status:
        take_down(
            project,
            volumes=volumes,
            report=lambda line: status.update(Text(line, overflow="ellipsis", no_wrap=True)),
        )
    out.print("down" + (", with all that it kept" if volumes else ""))
