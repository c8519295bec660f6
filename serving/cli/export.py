"""`regard export`: from a trained network to a proven ONNX graph."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from regard.models.explain import Explain
from regard.serving.cli.certificates import show_certificates
from regard.serving.cli.console import err, out

IMAGES = 6  # as many as the largest batches of a certificate need together


def export(
    name: Annotated[str, typer.Argument(help="A name of `regard models`, or package.module:callable of your own.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    weights: Annotated[
        str | None, typer.Option(help="A .safetensors or .pt file, a tag such as fashion_mnist, or 'random' for an untrained network.")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="The Card's JSON file; by default the one beside the weights.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images for the certificate; by default regard's samples.")] = None,
    explain: Annotated[
        Explain | None,
        typer.Option(
            help="Add an explanation: the attention weights, or where the class is seen (cam for pooling heads, gradcam for most)."
        ),
    ] = None,
    rename: Annotated[str | None, typer.Option("--name", help="Serve it under this name; by default the Card's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Export a network to ONNX, and prove on real images that ONNX Runtime gives PyTorch's answers; exit 1, keeping the draft, if not.

    Example: regard export se_resnet18 --weights fashion_mnist -o exported/garments
    """
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True) as progress:
        stage = progress.add_task("loading the network")

        from regard.export.images import read_images
        from regard.export.onnx_export import export_onnx
        from regard.export.parity import ParityError
        from regard.export.sources import resolve
        from regard.models.samples import sample_images

        network, found = resolve(name, weights=weights, card=card)
        if rename is not None:
            found = found.updated(name=rename)
        try:
            artifact = export_onnx(
                network,
                found,
                output,
                images=sample_images(found) if images is None else read_images(images, IMAGES),
                images_from="regard's sample images" if images is None else str(images),
                explain=explain,
                report=lambda description: progress.update(stage, description=description),
            )
        except ParityError as error:
            progress.stop()
            if not as_json:
                show_certificates(error.certificates)
            raise
    if as_json:
        card_fields = artifact.card.model_dump(mode="json")
        print(json.dumps({"model": str(artifact.model), "sha256": artifact.sha256, "card": card_fields}, indent=2))
        return
    show_certificates(artifact.card.certificates)
    out.print(f"{artifact.card.name} is in [bold]{artifact.folder}[/bold] ({decimal(artifact.model.stat().st_size)})")
