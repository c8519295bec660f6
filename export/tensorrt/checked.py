"""An engine that computes in what was asked for, of any graph of regard's signature."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from regard.contract.digest import sha256
from regard.contract.pixels_input import PixelsInput
from regard.contract.plan import Plan
from regard.contract.variant import Precision
from regard.export.tensorrt.building import Report, built
from regard.export.tensorrt.job import Job
from regard.export.tensorrt.precision_contract import check_precision
from regard.export.tensorrt.profile import profile_of
from regard.export.tensorrt.target import Target


@dataclass(frozen=True)
class Limits:
    """What a build may take.

    Attributes:
        workspace: bytes that layers may take while they run; None leaves it to the library.
        processor_seconds: of its process.
        wall_seconds: until it is ended; generous, since other work takes time as well.
    """

    workspace: int | None = None
    processor_seconds: int = 3600
    wall_seconds: float = 3 * 3600


DEFAULTS = Limits()


@dataclass(frozen=True)
class Graph:
    """A graph to build an engine of.

    Attributes:
        file: its ONNX file.
        model: what that holds.
        precision: that it computes in.
        kept: of fp16, the names of the nodes that stay in float32.
    """

    file: Path
    model: ModelProto
    precision: Precision
    kept: Collection[str] = ()


def checked_engine(
    graph: Graph,
    contract: PixelsInput,
    target: Target,
    engine: Path,
    *,
    limits: Limits = DEFAULTS,
    report: Report = lambda phase, fraction: None,
) -> Plan:
    """Build an engine, and hold its layers against the precision of its graph.

    Args:
        graph: that it is of.
        contract: what shapes it is for.
        target: what it is for.
        engine: the file to write.
        limits: of the build.
        report: told the library's phase and the fraction of the build that is done, 0 to 1.

    Returns:
        Its record, without certificates.

    Raises:
        PrecisionError: its layers compute in another precision.
        ExportError: the library does not take the graph, dies, or is not there.
        OSError: the engine cannot be written.
    """
    job = Job(
        library=target.library,
        graph=str(graph.file.resolve()),
        engine=str(engine.resolve()),
        compute_capabilities=target.compute_capabilities,
        profiles=(profile_of(contract),),
        workspace=limits.workspace,
        processor_seconds=limits.processor_seconds,
    )
    found = built(job, wall_seconds=limits.wall_seconds, report=report)
    check_precision(found.layers, graph.precision, graph.model, kept=graph.kept)
    return Plan(
        graph_sha256=sha256(graph.file),
        library=target.library,
        version=found.version,
        target=target.text,
        compute_capabilities=found.compute_capabilities,
        gpu=found.gpu,
        precision=graph.precision,
        profiles=job.profiles,
        bindings=found.bindings,
        layers=found.layers,
        workspace=found.workspace,
        seconds=found.seconds,
    )
