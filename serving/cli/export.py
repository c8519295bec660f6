"""`regard export`: from a trained network to a proven ONNX graph."""

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from regard.errors import InvalidInput
from regard.models.explain import Explain
from regard.serving.cli.completion import networks
from regard.serving.cli.console import out
from regard.serving.cli.options import Json
from regard.serving.cli.proof import proof_images, proof_texts, proving, show_certificates, sources
from regard.serving.cli.settings import Settings, WeightsKey


class FormOption(str, Enum):
    """What --ops takes."""

    portable = "portable"
    function = "function"


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
    texts: Annotated[
        Path | None,
        typer.Option(
            help=(
                "File of texts for the certificate, one on each line, with a tab between those of several "
                "inputs; by default words drawn from the Card's vocabulary."
            )
        ),
    ] = None,
    explain: Annotated[
        Explain | None,
        typer.Option(
            help=(
                "Add an explanation: the attention weights or what else the network explains, or where the "
                "class is seen (cam for pooling "
                "heads, gradcam for most)."
            )
        ),
    ] = None,
    ops: Annotated[
        FormOption,
        typer.Option(
            help=(
                "How operators (local attention, criss-cross attention, warp, your own) are kept: written "
                "out, for every runtime; with function also, in the variant ops, as nodes that kernels speed "
                "up, for ONNX Runtime alone."
            )
        ),
    ] = FormOption.portable,
    op_library: Annotated[
        Path | None,
        typer.Option(
            help="With --ops function: a shared library with kernels of the operators, in place of regard's."
        ),
    ] = None,
    rename: Annotated[
        str | None, typer.Option("--name", help="Serve it under this name; by default the Card's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Export a network to ONNX, and prove on real images, texts and sessions that ONNX Runtime gives
    PyTorch's answers; exit 1, keeping the draft, if not.

    Example: regard export se_resnet18 --weights fashion_mnist -o exported/garments
    """
    if op_library is not None and ops != FormOption.function:
        raise InvalidInput("--op-library is for the variant that --ops function adds; give both")
    made = None
    with proving("loading the network", quietly=as_json) as stages:
        from regard.export.onnx_export import export_onnx
        from regard.export.op_library import check_library
        from regard.export.ops_variant import add_ops_variant, check_computes_operators
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
        real_images, images_source = proof_images(images, found)
        given_texts, texts_source = proof_texts(texts, found)
        images_from = sources(images_source, texts_source)
        if ops == FormOption.function:
            check_computes_operators(network, found, explain=explain)
            if op_library is not None:
                check_library(op_library)
        artifact = export_onnx(
            network,
            found,
            out_folder,
            images=real_images,
            images_from=images_from,
            texts=given_texts,
            explain=explain,
            report=stages.begin,
        )
        if ops == FormOption.function:
            made = add_ops_variant(
                artifact,
                network,
                images=real_images,
                images_from=images_from,
                texts=given_texts,
                explain=explain,
                op_library=op_library,
                report=lambda stage: stages.begin(f"variant ops: {stage}"),
            )
    if as_json:
        facts = {
            "model": str(artifact.model),
            "sha256": artifact.sha256,
            "card": artifact.card.model_dump(mode="json"),
        }
        if made is not None:
            facts["ops"] = {"folder": str(made.folder), "note": made.note} | made.variant.model_dump(
                mode="json"
            )
        print(json.dumps(facts, indent=2))
        return
    show_certificates(artifact.card.certificates)
    if made is not None:
        show_certificates(made.variant.certificates)
    from regard.serving.page import preprocessing

    for what, how in preprocessing(artifact.card).items():
        out.print(f"{what}: {how}", highlight=False)
    out.print(
        f"{artifact.card.name} is in [bold]{artifact.folder}[/bold] "
        f"({decimal(artifact.model.stat().st_size)})"
    )
    if made is not None:
        out.print(f"the variant ops is in [bold]{made.folder}[/bold]: {', '.join(made.variant.operators)}")
        if made.note:
            out.print(f"  {made.note}", markup=False)
