"""Adding an engine to an artifact: built from a variant's graph, held to its precision, run where it can be,
and put beside the graph in one step.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.contract.goldens import ANSWERS_FILE
from regard.contract.names import ENGINE_FILE, GOLDENS, MANIFEST_FILE
from regard.contract.plan import PLAN_FILE, Plan
from regard.contract.preprocess import Pixels
from regard.contract.variant import VARIANT_FILE
from regard.contract.whole_file import write_text
from regard.export.artifact import Artifact
from regard.export.tensorrt.building import Report
from regard.export.tensorrt.checked import DEFAULTS, Graph, Limits, checked_engine
from regard.export.tensorrt.here import check_here
from regard.export.tensorrt.runner import runner_here
from regard.export.tensorrt.source import FLOAT32, Source, source_of
from regard.export.tensorrt.target import Target
from regard.export.variant import adding_variant


@dataclass(frozen=True)
class Engine:
    """An engine that was added. folder: of its variant."""

    folder: Path
    plan: Plan

    @property
    def file(self) -> Path:
        """The engine itself."""
        return self.folder / ENGINE_FILE


def add_engine(
    artifact: Artifact,
    target: Target,
    *,
    images: Sequence[Pixels],
    images_from: str = "the caller's images",
    variant: str = FLOAT32,
    limits: Limits = DEFAULTS,
    report: Report = lambda phase, fraction: None,
    proving: Callable[[str], None] = lambda stage: None,
) -> Engine:
    """Build an engine and put it beside its graph, `variants/<variant>/model.plan`, whole or not at all; an
    earlier one is replaced.

    Args:
        artifact: float32, as of `read_artifact`.
        target: what the engine is for.
        images: real ones, of any size, to prove it on where it runs here.
        images_from: where they come from, for the record.
        variant: whose graph it is of; "float32" is the artifact's own graph, in a variant that shares it.
        limits: of the build.
        report: told the library's phase and the fraction of the build that is done, 0 to 1.
        proving: told each stage of the proof.

    Raises:
        InvalidInput: the target cannot be built for here, or TensorRT does not run the variant.
        UnknownName: no such variant.
        PrecisionError: its layers compute in another precision than the variant's.
        ParityError: it ran, and departs from its graph; the draft is kept.
        ExportError: the library does not take the graph, dies, or is not there; the disk is full.
    """
    check_here(target)
    source = source_of(artifact, variant)
    record = source.record
    with adding_variant(artifact.folder, variant) as draft:
        _copy(artifact, source, draft)
        graph = Graph(source.file, source.graph, record.precision, record.float32_blocks)
        plan = checked_engine(
            graph, artifact.card.input, target, draft / ENGINE_FILE, limits=limits, report=report
        )
        if plan.gpu is not None:
            from regard.export.tensorrt.certify import certify_engine  # brings ONNX Runtime

            certificates = certify_engine(
                runner_here(target.library, draft / ENGINE_FILE, gpu=plan.gpu),
                artifact,
                source.file,
                record.precision,
                images=images,
                images_from=images_from,
                report=proving,
            )
            plan = plan.model_copy(update={"certificates": certificates})
        write_text(draft / PLAN_FILE, plan.model_dump_json(indent=2) + "\n")
    return Engine(source.folder, plan)


def _copy(artifact: Artifact, source: Source, draft: Path) -> None:
    """The other files of the variant; those of one that is new."""
    if not source.folder.is_dir():
        write_text(draft / VARIANT_FILE, source.record.model_dump_json(indent=2) + "\n")
        shutil.copyfile(artifact.folder / GOLDENS / ANSWERS_FILE, draft / ANSWERS_FILE)
        return
    for path in source.folder.iterdir():
        if path.name not in (ENGINE_FILE, PLAN_FILE, MANIFEST_FILE):
            shutil.copyfile(path, draft / path.name)
