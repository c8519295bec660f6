"""What the benchmarks share: networks, a server of their own, and the results' file.

A benchmark is a function that returns its figures. `run` adds the machine and the versions, prints a table
and writes results/<name>.json. With --quick it uses small networks and short runs, to see that it works, and
keeps its hands off the results.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from figures import Figure, as_json, table_of
from rich.console import Console
from torch import Tensor, nn

from regard.contract.answers import KINDS, Classes
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.contract.preprocess import decode
from regard.contract.whole_file import write_text
from regard.export.artifact import Artifact
from regard.export.onnx_export import export_onnx
from regard.models.catalog import build, find
from regard.models.load.awake import awaken
from regard.serving.bench.images import read_images
from regard.serving.bench.report import machine, versions
from regard.serving.repository import add
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

RESULTS = Path(__file__).parent / "results"
QUIET = 0.5  # load average above which timings are mostly about something else
console = Console(stderr=True, soft_wrap=True)


def run(name: str, purpose: str, measure: Callable[[bool], Sequence[Figure]]) -> None:
    """Parse the command line, measure, print and write. `measure` is told whether to be quick."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small networks, short runs; the results go to a temporary folder",
    )
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    if load > QUIET:
        console.print(
            f"the machine is busy (load average {load:.1f}): timings will be worse than they should",
            style="yellow",
        )
    figures = measure(arguments.quick)
    result = {
        "name": name,
        "purpose": purpose,
        "command": f"python benchmarks/{name}.py",
        "quick": arguments.quick,
        "load_average_before": round(load, 2),
        "figures": [as_json(figure) for figure in figures],
        "machine": machine(),
        "versions": versions(),
    }
    folder = Path(tempfile.mkdtemp(prefix="regard_benchmarks_")) if arguments.quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{name}.json", json.dumps(result, indent=2, allow_nan=False) + "\n")
    Console(soft_wrap=True).print(table_of(figures, title=purpose))
    console.print(f"-> {folder / name}.json")


@dataclass(frozen=True)
class Served:
    """A running server and what it serves, by name."""

    server: EmbeddedTriton
    repository: Path
    artifacts: dict[str, Artifact]


Network = tuple[nn.Module, Card]


@contextmanager
def served(*networks: Network) -> Iterator[Served]:
    """Export the networks, add them to a new repository and serve it on free ports; everything is gone
    afterwards.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regard_benchmark_")))
        artifacts = {}
        for network, card in networks:
            console.print(f"exporting {card.name}")
            artifacts[card.name] = export(network, card, folder / card.name)
            add(artifacts[card.name], folder / "repository")
        server = stack.enter_context(embedded(folder / "repository"))
        yield Served(server, folder / "repository", artifacts)


def embedded(repository: Path) -> EmbeddedTriton:
    """A server of our own on free ports, not yet started."""
    http, grpc, metrics = free_ports(3)
    return EmbeddedTriton(repository, http_port=http, grpc_port=grpc, metrics_port=metrics)


def export(network: nn.Module, card: Card, folder: Path) -> Artifact:
    """Export and certify a network on the sample images."""
    return export_onnx(
        network,
        card,
        folder,
        images=[decode(image) for image in street()],
        images_from="sample_images/street",
    )


def street() -> list[bytes]:
    """The sample street scenes: JPEG, 480 x 360."""
    return read_images(Path(__file__).parents[1] / "models" / "sample_images" / "street")


def classifier(name: str, size: int, **options: Any) -> Network:
    """A classifier of the catalog with seeded random weights, for `size` x `size` pixels cut from the image's
    centre.
    """
    return _untrained(
        name,
        ImageInput(height=size, width=size, resize="center_crop", crop=0.875),
        {"num_classes": 1000} | options,
    )


def segmenter(name: str, height: int, width: int, **options: Any) -> Network:
    """A segmenter of the catalog with seeded random weights, for images of any size around height x width."""
    contract = ImageInput(height=height, width=width, resize="none", dynamic_size=True, max_batch=8)
    return _untrained(name, contract, {"num_classes": 11} | options)


class MeanColour(nn.Module):
    """Almost no arithmetic: each class looks at the image's mean colour. (B, 3, H, W) -> (B, num_classes)."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.fc = nn.Linear(3, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.fc(x.mean(dim=(2, 3)))
        return scores


def mean_colour(size: int) -> Network:
    """`MeanColour` for `size` x `size` pixels; what remains is decoding and the serving layer."""
    torch.manual_seed(0)
    contract = ImageInput(height=size, width=size, resize="center_crop", crop=0.875)
    answer = Classes(labels=tuple(f"class {index}" for index in range(10)))
    card = Card(
        name="mean_colour",
        inputs=(contract,),
        answer=answer,
        origin=Origin(builder="harness:MeanColour"),
    )
    return MeanColour().eval(), card


def _untrained(name: str, contract: ImageInput, options: dict[str, Any]) -> Network:
    torch.manual_seed(0)
    answer = KINDS[find(name).task](labels=tuple(f"class {index}" for index in range(options["num_classes"])))
    origin = Origin(builder=name, options=options)
    card = Card(name=name, inputs=(contract,), answer=answer, origin=origin)
    network = build(name, **options).eval()
    awaken(network, card)
    return network, card


if __name__ == "__main__":
    sys.exit("this file only serves the benchmarks beside it; run `python benchmarks/run_all.py`")
