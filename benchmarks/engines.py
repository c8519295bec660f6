"""Engines of exports by TensorRT-RTX, built and not run, and what docs/catalog.md says of them."""

import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from rich.filesize import decimal

from regard.contract.goldens import read_goldens
from regard.contract.names import GOLDENS
from regard.errors import RegardError
from regard.export.artifact import Artifact, read_graph, write_graph
from regard.export.image_alone import check_image_alone
from regard.export.precision.fp16 import in_fp16, prepared
from regard.export.precision.fp16_needs import float32_needs
from regard.export.precision.reach import reaches
from regard.export.tensorrt.checked import Graph, checked_engine
from regard.export.tensorrt.source import IMAGE_ALONE
from regard.export.tensorrt.target import target_of
from regard.models.listing import BuiltEngine, EnginePrecision, Row

TARGET = target_of("rtx:8.6,8.9,12.0")
VERSION = version("tensorrt-rtx-cu13")
PRECISIONS: dict[EnginePrecision, str] = {"float32": "fp32", "fp16": "fp16"}  # and their columns


def build(artifact: Artifact) -> dict[EnginePrecision, BuiltEngine]:
    """The engines of an export, one by one."""
    return {precision: _built(artifact, precision) for precision in PRECISIONS}


def _built(artifact: Artifact, precision: EnginePrecision) -> BuiltEngine:
    with tempfile.TemporaryDirectory(prefix="regard_engine_") as folder:
        engine = Path(folder) / "model.plan"
        try:
            check_image_alone(artifact.card, IMAGE_ALONE)
            graph = _graph(artifact, precision, Path(folder) / "model.onnx")
            plan = checked_engine(graph, artifact.card.input, TARGET, engine)
        except RegardError as error:
            return BuiltEngine(why_not=str(error).replace(folder, "").replace(str(artifact.folder), ""))
        return BuiltEngine(seconds=round(plan.seconds, 1), bytes=engine.stat().st_size)


def _graph(artifact: Artifact, precision: EnginePrecision, file: Path) -> Graph:
    """The export's own graph, or that in fp16, which is written to the file."""
    original = read_graph(artifact.model)
    if precision == "float32":
        return Graph(artifact.model, original, precision)
    original = prepared(original)
    contract = artifact.card.input
    batches = [contract.fit(golden.pixels)[None] for golden in read_goldens(artifact.folder / GOLDENS)]
    kept = float32_needs(original, reaches(original, batches))
    model = in_fp16(original, kept)
    write_graph(model, file)
    return Graph(file, model, precision, kept)


def cell(engine: BuiltEngine | None) -> str:
    """Of the catalog's table."""
    if engine is None:
        return "not tried"
    if engine.seconds is None or engine.bytes is None:
        return "does not build"
    return f"{engine.seconds:.1f} s, {decimal(engine.bytes)}"


def section(rows: Sequence[Row]) -> list[str]:
    """How many engines there are, and each that is not, with the reason."""
    lines = ["## Engines", ""]
    for precision, name in PRECISIONS.items():
        tried = [row.engines[precision] for row in rows if precision in row.engines]
        built = [engine for engine in tried if engine.why_not is None]
        lines.append(
            f"- TensorRT-RTX in {name}: {len(built)} of {len(tried)} networks that were tried are built; "
            f"{len(rows) - len(tried)} of the catalog's {len(rows)} were not tried."
        )
    faults = [
        f"- {row.name} in {name}: {row.engines[precision].why_not}"
        for row in rows
        for precision, name in PRECISIONS.items()
        if precision in row.engines and row.engines[precision].why_not is not None
    ]
    return [*lines, "", *(["Not built:", "", *faults] if faults else ["None of them failed."])]
