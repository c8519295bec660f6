"""`regard import`: from an ONNX model that others exported to a proven, served one."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from regard.serving.cli.console import out
from regard.serving.cli.options import Json
from regard.serving.cli.proof import proof_images, proving, show_certificates


def import_(
    model: Annotated[
        Path,
        typer.Argument(
            help="The .onnx file: normalized images in, logits, probabilities or a label map out."
        ),
    ],
    card: Annotated[Path, typer.Option(help="The Card's JSON file: what the model takes and answers.")],
    out_folder: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    answer: Annotated[
        str | None, typer.Option(help="The output to serve, where the model has several.")
    ] = None,
    op_library: Annotated[
        Path | None,
        typer.Option(
            help=(
                "A shared library with kernels of operators that are not ONNX's. It is copied beside the "
                "model, which ONNX Runtime alone runs."
            )
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images for the certificate; by default regard's samples.")
    ] = None,
    rename: Annotated[
        str | None, typer.Option("--name", help="Serve it under this name; by default the Card's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Wrap an existing ONNX model into the served contract, and prove on real images that it gives the given
    file's answers; exit 1 if not.

    Example: regard import model.onnx --card card.json -o exported/model
    """
    with proving("loading", quietly=as_json) as stages:
        from regard.contract.reading import card_from_file
        from regard.export.onnx_import import import_onnx

        found = card_from_file(card)
        if rename is not None:
            found = found.updated(name=rename)
        real_images, images_from = proof_images(images, found)
        imported = import_onnx(
            model,
            found,
            out_folder,
            images=real_images,
            images_from=images_from,
            answer=answer,
            op_library=op_library,
            report=stages.begin,
        )
    artifact = imported.artifact
    if as_json:
        fields = {"model": str(artifact.model), "sha256": artifact.sha256, "notes": imported.notes}
        print(json.dumps(fields | {"card": artifact.card.model_dump(mode="json")}, indent=2))
        return
    show_certificates(artifact.card.certificates)
    for note in imported.notes:
        out.print(f"  {note}", markup=False)
    out.print(
        f"{artifact.card.name} is in [bold]{artifact.folder}[/bold] "
        f"({decimal(artifact.model.stat().st_size)})"
    )
