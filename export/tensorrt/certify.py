"""Certificates of an engine that runs: it is held against a graph in ONNX Runtime, by the trials of every
proof.

In float32 and fp16 that is the artifact's own graph. In int8 it is the variant's: that this one decides as
float32 does was judged on many images when it was made, and is no matter of a tolerance.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import onnx

from regard.contract.certificate import Certificate
from regard.contract.digest import sha256
from regard.contract.preprocess import Pixels
from regard.contract.variant import Precision as Name
from regard.export.artifact import Artifact
from regard.export.proof.bounds import FLOAT32, FP16, INT8, Precision
from regard.export.proof.comparison import maps_among, prove
from regard.export.proof.graph_runner import GraphRunner
from regard.export.proof.runner import Runner
from regard.export.proof.trials import trials_of

PRECISIONS: Mapping[Name, Precision] = {"float32": FLOAT32, "fp16": FP16, "int8": INT8}


def certify_engine(
    runner: Runner,
    artifact: Artifact,
    graph: Path,
    precision: Name,
    *,
    images: Sequence[Pixels],
    images_from: str,
    report: Callable[[str], None] = lambda stage: None,
) -> tuple[Certificate, ...]:
    """Prove that an engine answers as its graph does.

    Args:
        runner: of the engine.
        artifact: float32.
        graph: that the engine was built from.
        precision: that it computes in.
        images: real ones, of any size.
        images_from: where they come from, for the record.
        report: told of each trial as a side is asked it.

    Raises:
        ParityError: it departs from it, or stops at a shape that the Card allows.
        ExportError, InvalidInput: the graph's own answers prove nothing.
    """
    reference = graph if precision == "int8" else artifact.model
    model, answer = onnx.load(reference), artifact.card.answer
    outputs = [value.name for value in model.graph.output]
    return prove(
        GraphRunner(model, {name: name for name in outputs}, sha256=sha256(reference)),
        runner,
        trials_of(images, artifact.card, traced=None),
        answer=answer,
        precision=PRECISIONS[precision],
        subject=f"the engine of {artifact.card.name}",
        images_from=images_from,
        maps="maps" if maps_among(outputs, answer) else None,
        report=report,
    )
