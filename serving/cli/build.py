"""`regard build`: a TensorRT engine of an exported model or of a variant of it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from regard.errors import InvalidInput
from regard.serving.cli.console import out
from regard.serving.cli.options import Json
from regard.serving.cli.phase_bar import phase_bar
from regard.serving.cli.proof import proof_images, show_certificates
from regard.serving.cli.stages import say

GIB = 2**30


def build(
    artifact: Annotated[Path, typer.Argument(help="The folder of an exported model.")],
    target: Annotated[
        str,
        typer.Option(
            help=(
                "What it is for. rtx:8.6,8.9,12.0: TensorRT-RTX on GPUs of these compute capabilities, "
                "built here without one. local: TensorRT on the GPU here. triton:24.10: the same, in a "
                "container of that release, whose Triton alone loads it."
            )
        ),
    ],
    variant: Annotated[
        str, typer.Option(help="The variant to build it of; by default the exported graph itself.")
    ] = "float32",
    workspace: Annotated[
        float | None,
        typer.Option(min=0.01, help="GiB that layers may take while they run; by default the library's."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of images to prove it on where it runs; by default regard's samples."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build a TensorRT engine of an exported model, and check that its layers compute in the precision of
    its variant: exit 1 where they do not. On the GPU here it is run and proven as well.

    Example: regard build exported/garments --variant fp16 --target rtx:8.6,8.9,12.0
    """
    from regard.export.artifact import read_artifact
    from regard.export.tensorrt.checked import DEFAULTS, Limits
    from regard.export.tensorrt.engine import add_engine
    from regard.export.tensorrt.precision_contract import PrecisionError
    from regard.export.tensorrt.target import target_of
    from regard.serving.cli.engine_table import engine_table, layer_types_table, layers_table
    from regard.serving.page import EngineFacts

    wanted = target_of(target)
    if images is not None and not wanted.here:
        raise InvalidInput(f"images prove an engine that runs here, and {target} is for others; give none")
    read = read_artifact(artifact)
    taken, images_from = proof_images(images, read.card) if wanted.here else ([], "none")
    limits = DEFAULTS if workspace is None else Limits(workspace=round(workspace * GIB))
    try:
        with phase_bar(f"building {variant} of {read.card.name} for {target}") as report:
            engine = add_engine(
                read,
                wanted,
                images=taken,
                images_from=images_from,
                variant=variant,
                limits=limits,
                report=report,
                proving=say,
            )
    except PrecisionError as error:
        if not as_json:
            out.print(layers_table(error.layers))
        raise
    facts = EngineFacts.of(variant, engine.folder)
    if as_json:
        print(json.dumps({"folder": str(engine.folder)} | facts.to_json(), indent=2))
        return
    out.print(engine_table(facts))
    out.print(layer_types_table(engine.plan.layers))
    show_certificates(engine.plan.certificates)
    out.print(f"the engine is [bold]{engine.file}[/bold]")
