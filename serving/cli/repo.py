"""`regard repo`: add exported models to a Triton model repository, remove, list and renew them."""

import json
from pathlib import Path
from typing import Annotated

import typer

from regard.serving.cli.addition import (
    AcceleratorOption,
    BackendOption,
    Batching,
    EndpointsOption,
    Expect,
    Instances,
    Name,
    Threads,
    serving_options,
)
from regard.serving.cli.completion import served_models
from regard.serving.cli.console import err, out
from regard.serving.cli.options import APP, DEFAULT_REPOSITORY, Json, Repository
from regard.serving.cli.tables import Table

app = typer.Typer(
    help=(
        "Add exported models to a Triton model repository, remove, list and renew them.\n\n"
        "Example: regard repo add exported/garments"
    ),
    **APP,
)


@app.command()
def add(
    artifact: Annotated[
        Path, typer.Argument(help="The folder that `regard export` wrote, or one of its variants'.")
    ],
    repository: Repository = DEFAULT_REPOSITORY,
    name: Name = None,
    instances: Instances = None,
    threads: Threads = None,
    endpoints: EndpointsOption = None,
    batching: Batching = None,
    backend: BackendOption = None,
    accelerator: AcceleratorOption = None,
    unproven: Annotated[
        bool,
        typer.Option("--unproven", help="Take it without a proof that holds; it is shown as unproven."),
    ] = False,
    expect: Expect = None,
    as_json: Json = False,
) -> None:
    """Add a model, or a new version of one that is there; a server that watches the repository picks it up.

    Example: regard repo add exported/se_resnet18 --repository model_repository

    Example: regard repo add exported/garments/variants/fp16 --backend tensorrt

    Example: regard repo add exported/garments --accelerator tensorrt
    """
    from regard.export.artifact import read_unproven
    from regard.export.variant import read_artifact_or_variant
    from regard.serving.repository import add as add_model

    if unproven and expect is not None:
        raise typer.BadParameter("a pinned manifest is part of the proof: leave out --unproven or --expect")
    added = add_model(
        read_unproven(artifact) if unproven else read_artifact_or_variant(artifact, expect=expect),
        repository,
        name=name,
        **serving_options(instances, threads, endpoints, batching, backend, accelerator),
        report=err.print,
    )
    engine = added.engine
    if as_json:
        print(
            json.dumps(
                {
                    "name": added.name,
                    "version": added.version,
                    "folder": str(added.folder),
                    "endpoints": added.endpoints,
                    "engine": engine
                    and {"library": engine.library, "version": engine.version, "run": engine.run},
                }
            )
        )
        return
    takes = [
        f"{endpoint} takes {'tensors' if endpoint == added.name else 'image files'}"
        for endpoint in added.endpoints
    ]
    out.print(f"added {added.name} version {added.version} to {repository}: {', '.join(takes)}")
    if engine is not None:
        out.print(f"{added.name} is served by its engine of TensorRT {engine.version}: {engine.state}")


@app.command()
def remove(
    name: Annotated[
        str, typer.Argument(autocompletion=served_models, help="The model's name in the repository.")
    ],
    repository: Repository = DEFAULT_REPOSITORY,
    version: Annotated[int | None, typer.Option(help="Remove this version only.")] = None,
) -> None:
    """Remove a model, or one of its versions.

    Example: regard repo remove se_resnet18 --version 1
    """
    from regard.serving.repository import remove as remove_model

    remove_model(repository, name, version=version, report=err.print)
    out.print(f"removed {name}{f' version {version}' if version else ''} from {repository}")


@app.command()
def renew(
    name: Annotated[
        str | None,
        typer.Argument(
            autocompletion=served_models, help="The model's name in the repository; by default every model."
        ),
    ] = None,
    repository: Repository = DEFAULT_REPOSITORY,
) -> None:
    """Bring a model that an earlier regard added to the present layout, in place; what you changed in its
    configuration is kept.

    Example: regard repo renew se_resnet18
    """
    from regard.serving.repository import renew as renew_models

    renewed = renew_models(repository, name, report=err.print)
    if renewed:
        out.print(f"renewed {', '.join(renewed)} in {repository}")
    else:
        out.print(f"{name or 'every model'} in {repository} is up to date")


@app.command(name="list")
def list_(repository: Repository = DEFAULT_REPOSITORY, as_json: Json = False) -> None:
    """List the models: task, versions, endpoints, largest batch, labels, and whether they were proven.

    Example: regard repo list --json
    """
    from regard.serving.repository import listing

    entries = listing(repository)
    if as_json:
        fields = ("name", "versions", "endpoints", "backend", "max_batch")
        rows = [
            {field: getattr(entry, field) for field in fields}
            | {"proof": entry.proof, "card": entry.card and entry.card.model_dump(mode="json")}
            for entry in entries
        ]
        print(json.dumps(rows, indent=2))
        return
    table = Table(
        *("name", "task", "versions", "endpoints", "largest batch", "labels", "proof"),
        whole=("name", "endpoints"),
        figures=("largest batch", "labels"),
    )
    for entry in entries:
        task, labels = (entry.card.task, str(len(entry.card.answer.labels))) if entry.card else ("", "")
        table.add(
            entry.name,
            task,
            ", ".join(map(str, entry.versions)),
            "\n".join(entry.endpoints),
            str(entry.max_batch),
            labels,
            entry.proof,
        )
    out.print(table)
