"""The graph that an engine is built from: a variant's, of those that TensorRT runs."""

from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from regard.contract.names import VARIANTS
from regard.contract.variant import Variant, variant_in
from regard.errors import InvalidInput, UnknownName
from regard.export.artifact import Artifact, read_graph
from regard.export.graph.standard import check_standard
from regard.export.image_alone import check_image_alone
from regard.export.variant import read_variant

IMAGE_ALONE = "engines are built of networks that take an image alone; serve its graph by ONNX Runtime"
FLOAT32 = "float32"  # the variant that is the artifact's own graph


@dataclass(frozen=True)
class Source:
    """A variant and its graph.

    Attributes:
        folder: of the variant; there is none yet where it is the artifact's own graph for the first time.
        file: the graph's.
    """

    record: Variant
    folder: Path
    file: Path
    graph: ModelProto


def source_of(artifact: Artifact, name: str) -> Source:
    """The variant of an artifact that an engine is asked of.

    Raises:
        UnknownName: there is none of this name.
        InvalidInput: it is not what was written, TensorRT does not run it, or its network takes more than an
            image.
    """
    folder = artifact.folder / VARIANTS / name
    record = _record(artifact, name)
    file = artifact.model if record.file is None else folder / record.file
    check_image_alone(artifact.card, IMAGE_ALONE)
    source = Source(record, folder, file, read_graph(file))
    _check_buildable(source)
    return source


def _record(artifact: Artifact, name: str) -> Variant:
    variants = artifact.folder / VARIANTS
    found = {path.name for path in variants.glob("[!.]*")}
    if name not in found:
        if name == FLOAT32:
            return Variant(name=FLOAT32, file=None, certificates=artifact.card.certificates)
        raise UnknownName.among(f"variant of {artifact.folder}", name, {FLOAT32, *found})
    read_variant(variants / name)
    record = variant_in(variants / name)
    assert record is not None
    return record


def _check_buildable(source: Source) -> None:
    record = source.record
    if record.runtime != "onnxruntime":
        advice = (
            "make its int8 variant for TensorRT, int8-tensorrt"
            if record.precision == "int8"
            else "build an engine of fp16"
        )
        raise InvalidInput(
            f"the variant {record.name} is for {record.runtime} in {record.precision}, which TensorRT does "
            f"not take; {advice}"
        )
    check_standard(source.graph, name=f"the variant {record.name}", taker="TensorRT")
