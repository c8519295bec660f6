"""Networks of timm, torchvision and smp, each exported and certified or refused -> results/conformance.json
and docs/conformance.md.

Every network gets a process and a time limit of its own, so that none stops the others; the result is written
after each. Without names, what has no result yet is run; with --all everything is, again; --only takes those
whose name contains a text; --page writes the page only.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx
import torch
from harness import RESULTS, console

from regard.contract.whole_file import write_text
from regard.errors import RegardError
from regard.export.onnx_export import TOOLS, export_onnx
from regard.models.classifiers import Classifier
from regard.models.foreign.library import import_library
from regard.models.foreign.name import LIBRARIES
from regard.models.load import resolve
from regard.models.samples import sample_images

RESULT = RESULTS / "conformance.json"
PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
SEGMENTED = (192, 256)  # traced height and width of segmenters; their certificates go to two others

MODELS = (
    *(
        f"timm:{name}"
        for name in (
            "resnet18",
            "seresnet50",
            "resnet50?block_args.attn_layer=cbam",
            "gcresnet50t",
            "ecaresnet50t",
            "skresnet50",
            "resnest26d",
            "densenet121",
            "efficientnet_b0",
            "mobilenetv3_small_100",
            "convnext_tiny",
            "halonet26t",
            "botnet26t_256",
            "lambda_resnet26t",
            "bat_resnext26ts",
            "sebotnet33ts_256",
            "vit_small_patch16_224",
            "swin_tiny_patch4_window7_224",
            "swinv2_cr_tiny_224",
            "coatnet_0_rw_224",
            "xcit_tiny_12_p16_224",
            "davit_tiny",
            "visformer_tiny",
            "gcvit_xxtiny",
            "poolformer_s12",
            "volo_d1_224",
            "edgenext_small",
            "efficientformerv2_s0",
            "maxvit_tiny_rw_224",
            "hiera_tiny_224",
            "mobilevit_s",
            "pvt_v2_b0",
            "cait_xxs24_224",
            "volo_d4_448",
            "vit_small_patch14_dinov2",
        )
    ),
    *(
        f"torchvision:{name}"
        for name in (
            "resnet50",
            "mobilenet_v2",
            "efficientnet_b0",
            "vit_b_16",
            "swin_t",
            "maxvit_t",
            "googlenet",
            "fcn_resnet50?classes=21",
            "deeplabv3_mobilenet_v3_large?classes=21",
            "lraspp_mobilenet_v3_large?classes=21",
            "fasterrcnn_resnet50_fpn",
        )
    ),
    *(
        f"smp:{name}&classes=11"
        for name in (
            "Unet?encoder=resnet18",
            "Unet?encoder=resnet18&decoder_attention_type=scse",
            "UnetPlusPlus?encoder=resnet18",
            "MAnet?encoder=resnet18",
            "Linknet?encoder=resnet18",
            "FPN?encoder=resnet18",
            "PSPNet?encoder=resnet18",
            "PAN?encoder=resnet18",
            "DeepLabV3Plus?encoder=resnet18",
            "UPerNet?encoder=resnet18",
            "Segformer?encoder=mit_b0",
            "DPT?encoder=tu-vit_tiny_patch16_224",
        )
    ),
)
HEAD = """# Conformance of networks that others wrote

Written by `python benchmarks/conformance.py`; do not edit it. Each network was built with random weights,
exported, and certified against PyTorch on real images: traced at batch 2, compared at batches 1 and 6 too,
made images (black, white, noise) among them, and where the size is dynamic at its limits and an odd size. The
error is the largest of those that were not traced, relative to the largest logit; 1e-4 passes. "CAM" are
classifiers that regard could split into features, average pooling and the layers after it, so that
`--explain cam` or `gradcam` works.

"""


@dataclass(frozen=True)
class Outcome:
    """What became of one network. `status` is certified, refused, failed
    (an error that regard did not foresee), or out of time.
    """

    name: str
    status: str
    reason: str = ""
    parameters: int | None = None
    nodes: int | None = None
    size: str = ""
    error: float | None = None
    cam: bool = False


def examine(name: str) -> Outcome:
    """Export and certify one network, here and now."""
    try:
        network, card = resolve(name, weights="random")
        if card.input.dynamic_size:
            height, width = (max(side, card.input.min_size) for side in SEGMENTED)
            card = card.updated(input=card.input.model_dump() | {"height": height, "width": width})
        with tempfile.TemporaryDirectory(prefix="regard_conformance_") as folder:
            artifact = export_onnx(network, card, Path(folder, "out"), images=sample_images(card))
            nodes = len(onnx.load(artifact.model, load_external_data=False).graph.node)
    except RegardError as error:
        return Outcome(name, "refused", _plain(str(error)))
    (certificate,) = artifact.card.certificates
    return Outcome(
        name,
        "certified",
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        nodes=nodes,
        size="any" if card.input.dynamic_size else f"{card.input.height} x {card.input.width}",
        error=max(row.relative_error for row in certificate.comparisons if not row.traced),
        cam=isinstance(network, Classifier),
    )


def apart(name: str, limit: float) -> Outcome:
    """`examine` in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="regard_conformance_") as folder:
        result = Path(folder, "result.json")
        try:
            done = subprocess.run(
                [sys.executable, __file__, "--child", name, str(result)],
                timeout=limit,
                capture_output=True,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(name, "out of time", f"no result in {limit:g} s")
        if result.is_file():
            return Outcome(**json.loads(result.read_text()))
        lines = done.stderr.strip().splitlines() or ["no message"]
        return Outcome(name, "failed", _plain(f"exit code {done.returncode}: {lines[-1]}"))


def page(outcomes: list[Outcome], versions: dict[str, str]) -> str:
    """The results as Markdown."""
    counts = {
        status: sum(outcome.status == status for outcome in outcomes)
        for status in dict.fromkeys(each.status for each in outcomes)
    }
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    lines = [
        HEAD
        + (
            f"{len(outcomes)} networks: {summary}. Versions: "
            f"{', '.join(f'{name} {version}' for name, version in versions.items())}.\n"
        ),
        "| network | result | size | parameters | nodes | largest error | CAM |",
        "|---|---|---|---:|---:|---:|---|",
    ]
    for each in outcomes:
        result = (
            each.status if each.status == "certified" else f"{each.status}: {each.reason}".replace("|", "\\|")
        )
        parameters = "" if each.parameters is None else f"{each.parameters:,}"
        error = "" if each.error is None else f"{each.error:.1e}"
        cells = (
            f"`{each.name}`",
            result,
            each.size,
            parameters,
            str(each.nodes or ""),
            error,
            "yes" if each.cam else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _plain(message: str) -> str:
    """Without line breaks and without the paths of this machine."""
    message = re.sub(r"\s+", " ", message)
    message = re.sub(r" The draft is kept in \S+", "", message)
    return re.sub(r"/\S*/(site-packages|regard)/", "", message)


def _known() -> tuple[dict[str, Outcome], dict[str, str]]:
    if not RESULT.is_file():
        return {}, {}
    content = json.loads(RESULT.read_text())
    return {each["name"]: Outcome(**each) for each in content["outcomes"]}, content["versions"]


def _write(known: dict[str, Outcome], versions: dict[str, str]) -> None:
    outcomes = [known[name] for name in MODELS if name in known]
    RESULT.parent.mkdir(exist_ok=True)
    write_text(
        RESULT,
        json.dumps({"versions": versions, "outcomes": [asdict(each) for each in outcomes]}, indent=2) + "\n",
    )
    write_text(PAGE, page(outcomes, versions))


def main() -> int:
    """Run what is asked for; 1 where a network ended neither certified nor refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks of the list to run, again")
    parser.add_argument("--only", help="run, again, those whose name contains this")
    parser.add_argument("--all", action="store_true", help="run all again")
    parser.add_argument("--limit", type=float, default=900, help="seconds for each network")
    parser.add_argument("--page", action="store_true", help="only write the page from the results")
    parser.add_argument("--child", nargs=2, metavar=("NAME", "RESULT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, result = options.child
        torch.set_num_threads(1)
        outcome = examine(name)
        Path(result).write_text(json.dumps(asdict(outcome)))
        return 0
    unknown = [name for name in options.names if name not in MODELS]
    if unknown:
        parser.error(f"not in the list: {', '.join(unknown)}")
    known, versions = _known()
    if not options.page:
        versions = TOOLS | {
            module: import_library(library).__version__ for library, module in LIBRARIES.items()
        }
        wanted = options.names or [name for name in MODELS if options.only and options.only in name]
        if not wanted and not options.only:
            wanted = [name for name in MODELS if options.all or name not in known]
        for index, name in enumerate(wanted, start=1):
            start = time.perf_counter()
            known[name] = apart(name, options.limit)
            console.print(
                f"{index} of {len(wanted)}: {name}: {known[name].status} in "
                f"{time.perf_counter() - start:.0f} s {known[name].reason}"
            )
            _write(known, versions)
    _write(known, versions)
    return 1 if any(each.status in ("failed", "out of time") for each in known.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
