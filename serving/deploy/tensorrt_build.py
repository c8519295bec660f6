"""Engines built by TensorRT on the GPU here: what the service hands to `take_snapshot`."""

import time
from collections.abc import Callable
from pathlib import Path

from regard.contract.card import Card
from regard.contract.goldens import read_goldens
from regard.contract.names import GOLDENS
from regard.contract.plan import Plan
from regard.contract.variant import Variant
from regard.export.artifact import Artifact, read_graph
from regard.export.tensorrt.building import Report
from regard.export.tensorrt.certify import certify_engine
from regard.export.tensorrt.checked import Graph, checked_engine
from regard.export.tensorrt.runner import runner_here
from regard.export.tensorrt.target import Target
from regard.serving.deploy.engine_store import Build
from regard.serving.machine.gpus import gpus
from regard.serving.machine.tensorrt import version_of
from regard.serving.repository.engine_choice import Server
from regard.serving.repository.runtime import TENSORRT

EACH = 10.0  # seconds between two lines about a build

Say = Callable[[str], None]


def server_here(say: Say) -> Server:
    """The server that will load the engines: with the TensorRT and on the GPUs here, as they tell."""
    version, fault = version_of("tensorrt")
    found = gpus()
    say(f"TensorRT {version or fault or 'is not here'}")
    for gpu in found.found:
        say(f"{gpu.name}, compute capability {gpu.compute_capability}")
    if found.fault is not None:
        say(found.fault)
    kinds = tuple(sorted({gpu.compute_capability for gpu in found.found}))
    return Server(frozenset({TENSORRT}), version, kinds)


def tensorrt_build(target: Target, say: Say) -> Build:
    """How engines are built for a target: each in a process of its own, its layers held against the precision
    of the graph, and where it was built on a GPU its answers to the version's goldens against ONNX Runtime's.

    say: told in a line how far the build is, at most every EACH seconds.
    """

    def build(graph: Path, card: Card, variant: Variant, engine: Path) -> Plan:
        what = Graph(graph, read_graph(graph), variant.precision, variant.float32_blocks)
        plan = checked_engine(what, card.input, target, engine, report=_now_and_then(say))
        if plan.gpu is None:
            return plan
        certificates = certify_engine(
            runner_here(target.library, engine, gpu=plan.gpu),
            Artifact(graph.parent, card, plan.graph_sha256, precision=variant.precision),
            graph,
            variant.precision,
            images=[golden.pixels for golden in read_goldens(graph.parent / GOLDENS)],
            images_from="the goldens",
        )
        return plan.model_copy(update={"certificates": certificates})

    return build


def _now_and_then(say: Say) -> Report:
    last = time.monotonic()

    def report(phase: str, fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last >= EACH:
            last = time.monotonic()
            say(f"{fraction:4.0%}  {phase}")

    return report
