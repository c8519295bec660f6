"""`regard optimize`: a variant of an exported model in a lower precision."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regard.serving.cli.console import err, out
from regard.serving.cli.image_bar import image_bar
from regard.serving.cli.options import Ignore, Json, Limit, Split
from regard.serving.cli.proof import show_certificates
from regard.serving.cli.stages import say
from regard.serving.cli.tables import Table

if TYPE_CHECKING:
    from regard.contract.variant import Variant
    from regard.serving.optimize.gate import BlockCost
    from regard.serving.optimize.progress import Advance

SHOWN = 8  # blocks


class PrecisionOption(str, Enum):
    """What --precision takes."""

    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


class TargetOption(str, Enum):
    """What --for takes."""

    openvino = "openvino"
    tensorrt = "tensorrt"


def optimize(
    artifact: Annotated[Path, typer.Argument(help="The folder of an exported model.")],
    precision: Annotated[
        PrecisionOption,
        typer.Option(
            help=(
                "What it computes in: fp16, by a graph of its own for GPUs; bf16, by the same graph; int8, "
                "by a graph of its own."
            )
        ),
    ],
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Images to calibrate int8 with, like those that will come: a folder, which is searched as "
                "deep as it goes, or MNIST's files; labels are not read. By default the variant that comes "
                "with regard for these weights is taken. fp16 looks on them for what must stay in float32, "
                "by default on the model's goldens."
            )
        ),
    ] = None,
    calibrate_split: Annotated[
        str | None,
        typer.Option(help="A folder in those images; by default train, where there is one."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Labelled images to judge by, as for `regard evaluate`. Without them some of those to "
                "calibrate with are kept apart, and agreement alone is judged; fp16 is proven in any case."
            )
        ),
    ] = None,
    split: Split = None,
    limit: Limit = None,
    ignore: Ignore = None,
    target: Annotated[
        TargetOption,
        typer.Option(
            "--for",
            help="What runs it. tensorrt: symmetric and signed, as a variant of its own, int8-tensorrt.",
        ),
    ] = TargetOption.openvino,
    keep_slower: Annotated[
        bool, typer.Option("--keep-slower", help="Keep the variant even where it is slower than float32.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add a variant in fp16, bf16 or int8 to an exported model, proven or judged against float32: exit 1,
    keeping the draft, where it is not as good.

    Example: regard optimize exported/garments --precision int8 --calibrate photos --data labelled
    """
    from regard.export.proof.comparison import ParityError
    from regard.serving.cli.variant_proof import show_proof
    from regard.serving.optimize.gate import GateError
    from regard.serving.optimize.optimize import optimize

    try:
        made = optimize(
            artifact,
            precision.value,
            calibrate=calibrate,
            calibrate_split=calibrate_split,
            data=data,
            split=split,
            limit=limit,
            ignore_index=ignore,
            target=target.value,
            keep_slower=keep_slower,
            progress=_progress,
        )
    except GateError as error:
        if as_json:
            _print_json(None, error.variant, error.costs)
        else:
            show_proof(error.variant)
            _print_costs(error.costs)
        raise
    except ParityError as error:
        if not as_json:
            show_certificates(error.certificates)
        raise
    if made.engine_gone:
        say(f"the earlier {made.variant.name} had an engine, which is gone with its graph; build it again")
    if as_json:
        _print_json(made.folder, made.variant, made.costs)
        return
    show_proof(made.variant)
    _print_costs(made.costs)
    _print_float32(made.float32)
    out.print(f"{made.variant.name} is in [bold]{made.folder}[/bold]")


@contextmanager
def _progress(stage: str, steps: int) -> "Iterator[Advance]":
    if not err.is_terminal:
        say(stage)
    with image_bar(steps, stage, "steps") as advance:
        yield advance


def _print_costs(costs: "Sequence[BlockCost]") -> None:
    if not costs:
        return
    table = Table(
        *("block", "cost"),
        whole=("block",),
        figures=("cost",),
        title="what quantizing costs most",
        caption="how much more of float32's answers is met where this block alone stays in float32",
    )
    for each in costs[:SHOWN]:
        table.add(each.block, f"{each.cost:+.4f}")
    out.print(table)


def _print_float32(float32: "Mapping[str, str]") -> None:
    if not float32:
        return
    table = Table("why", "how many", figures=("how many",), title="what stays in float32")
    for reason, count in Counter(float32.values()).most_common():
        table.add(reason, str(count))
    out.print(table)


def _print_json(folder: Path | None, variant: "Variant", costs: "Sequence[BlockCost]") -> None:
    facts = {
        "folder": None if folder is None else str(folder),
        "variant": variant.model_dump(mode="json"),
        "costs": [asdict(each) for each in costs],
    }
    print(json.dumps(facts, indent=2))
