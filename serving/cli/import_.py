"""`regard import`: from an ONNX model that others exported to a proven, served one."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from regard.serving.cli.certificates import show_certificates
from regard.serving.cli.console import err, out
from regard.serving.cli.export import IMAGES


def import_(
    model: Annotated[Path, typer.Argument(help="The .onnx file: normalized images in, logits, probabilities or a label map out.")],
    card: Annotated[Path, typer.Option(help="The Card's JSON file: what the model takes and answers.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    answer: Annotated[str | None, typer.Option(help="The output to serve, where the model has several.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images for the certificate; by default regard's samples.")] = None,
    rename: Annotated[str | None, typer.Option("--name", help="Serve it under this name; by default the Card's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Wrap an existing ONNX model into the served contract, and prove on real images that it gives the given file's answers; exit 1 if not.

    Example: regard import model.onnx --card card.json -o exported/model
    """
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True) as progress:
        stage = progress.add_task("loading")

        from regard.export.images import read_images
        from regard.export.onnx_import import import_onnx
        from regard.export.parity import ParityError
        from regard.models.card import card_from_file
        from regard.models.samples import sample_images

        found = card_from_file(card)
        if rename is not None:
            found = found.updated(name=rename)
        try:
            imported = import_onnx(
                model,
                found,
                output,
                images=sample_images(found) if images is None else read_images(images, IMAGES),
                images_from="regard's sample images" if images is None else str(images),
                answer=answer,
                report=lambda description: progress.update(stage, description=description),
            )
        except ParityError as error:
            progress.stop()
            if not as_json:
                show_certificates(error.certificates)
            raise
    artifact = imported.artifact
    if as_json:
        fields = {"model": str(artifact.model), "sha256": artifact.sha256, "notes": imported.notes}
        print(json.dumps(fields | {"card": artifact.card.model_dump(mode="json")}, indent=2))
        return
    show_certificates(artifact.card.certificates)
    for note in imported.notes:
        out.print(f"  {note}", markup=False)
    out.print(f"{artifact.card.name} is in [bold]{artifact.folder}[/bold] ({decimal(artifact.model.stat().st_size)})")
