"""`regard export`: from a trained network to a proven ONNX graph."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from regard.models.explain import Explain
from regard.serving.cli.completion import networks
from regard.serving.cli.console import out
from regard.serving.cli.options import Json
from regard.serving.cli.proof import proof_images, proving, show_certificates
from regard.serving.cli.settings import Settings, WeightsKey


def export(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=networks,
            help=(
                "A name of `regard models`; timm:NAME, torchvision:NAME or smp:ARCH; or "
                "package.module:callable of your own. NAME?key=value sets options as --set does."
            ),
        ),
    ],
    out_folder: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    settings: Settings = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help=(
                "A .safetensors file or PyTorch's (.pt, .pth, .bin, .ckpt, .pth.tar), a tag such as "
                "fashion_mnist, or 'random' for an untrained network, whose last layer is drawn even where "
                "it would start at zero; by default those that come with regard for this name, or the "
                "callable's own."
            )
        ),
    ] = None,
    key: WeightsKey = None,
    card: Annotated[
        Path | None, typer.Option(help="The Card's JSON file; by default the one beside the weights.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images for the certificate; by default regard's samples.")
    ] = None,
    explain: Annotated[
        Explain | None,
        typer.Option(
            help=(
                "Add an explanation: the attention weights, or where the class is seen (cam for pooling "
                "heads, gradcam for most)."
            )
        ),
    ] = None,
    rename: Annotated[
        str | None, typer.Option("--name", help="Serve it under this name; by default the Card's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Export a network to ONNX, and prove on real images that ONNX Runtime gives PyTorch's answers; exit 1,
    keeping the draft, if not.

    Example: regard export se_resnet18 --weights fashion_mnist -o exported/garments
    """
    with proving("loading the network", quietly=as_json) as stages:
        from regard.export.onnx_export import export_onnx
        from regard.models.load import resolve
        from regard.models.options import parse_options

        network, found = resolve(
            name,
            options=parse_options(settings or []),
            weights=weights,
            card=card,
            key=key,
            report=stages.note,
        )
        if rename is not None:
            found = found.updated(name=rename)
        real_images, images_from = proof_images(images, found)
        artifact = export_onnx(
            network,
            found,
            out_folder,
            images=real_images,
            images_from=images_from,
            explain=explain,
            report=stages.begin,
        )
    if as_json:
        card_fields = artifact.card.model_dump(mode="json")
        print(
            json.dumps(
                {"model": str(artifact.model), "sha256": artifact.sha256, "card": card_fields}, indent=2
            )
        )
        return
    show_certificates(artifact.card.certificates)
    from regard.serving.show import preprocessing

    for what, how in preprocessing(artifact.card).items():
        out.print(f"{what}: {how}", highlight=False)
    out.print(
        f"{artifact.card.name} is in [bold]{artifact.folder}[/bold] "
        f"({decimal(artifact.model.stat().st_size)})"
    )
