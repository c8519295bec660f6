"""The variants to choose among: the artifact's own float32 graph, and those that lie with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from regard.contract.names import MODEL_FILE, VARIANTS
from regard.contract.variant import VARIANT_FILE, Runtime, Variant
from regard.errors import InvalidInput, UnknownName
from regard.export.artifact import Artifact, read_artifact
from regard.export.variant import read_variant, variants_of
from regard.serving.machine.gpus import has_nvidia_gpu
from regard.serving.one_image import check_one_image
from regard.serving.repository.config import PREFERRED_BATCH
from regard.serving.repository.runtime import OPENVINO

OWN = "float32"  # the name of the artifact's own graph
EXTRA: dict[Runtime, str] = {"onnxruntime": "cpu", "openvino": "openvino"}  # that bring them


@dataclass(frozen=True)
class Candidate:
    """A variant that can be served here.

    agreement: the fraction of decisions that are float32's, as its proof says; 1 for float32 itself.
    """

    name: str
    artifact: Artifact
    agreement: float

    @property
    def batches(self) -> bool:
        """Whether a server can work on several requests together."""
        return self.artifact.runtime != OPENVINO and self.artifact.card.input.max_batch >= PREFERRED_BATCH


@dataclass(frozen=True)
class Candidates:
    """Those that can be served, float32 first, and why others cannot."""

    able: Sequence[Candidate]
    left_out: dict[str, str]


def find_candidates(folder: Path, names: Sequence[str] | None = None) -> Candidates:
    """The variants of an artifact.

    names: which of them; by default all that are ONNX graphs and whose runtime is installed.

    Raises:
        InvalidInput: as of `read_artifact` and `variants_of`; no model of single images; a variant of that
            name cannot be served here.
        UnknownName: no such variant.
    """
    if (folder / VARIANT_FILE).is_file():
        raise InvalidInput(
            f"{folder} is one variant; name its artifact {folder.resolve().parent.parent}, and the variant "
            "among those to try"
        )
    own = read_artifact(folder)
    check_one_image(
        own.card,
        "tuning",
        instead="choose instances and threads by hand, and measure each choice",
    )
    variants = {variant.name: variant for variant in variants_of(folder)}
    able, left_out = [Candidate(OWN, own, 1.0)], {}
    for name, variant in variants.items():
        reason = _obstacle(variant)
        if reason is None:
            able.append(Candidate(name, read_variant(folder / VARIANTS / name), _agreement(variant)))
        else:
            left_out[name] = reason
    if names is None:
        return Candidates(able, left_out)
    for name in names:
        if name in left_out:
            raise InvalidInput(f"the variant {name} cannot be served here: {left_out[name]}")
        if name not in (OWN, *variants):
            raise UnknownName.among("variant", name, (OWN, *variants))
    return Candidates([candidate for candidate in able if candidate.name in names], {})


def _obstacle(variant: Variant) -> str | None:
    if variant.file not in (MODEL_FILE, None):
        return f"it is {variant.file}, which is no ONNX graph"
    if variant.precision == "fp16" and not has_nvidia_gpu():
        return "it is in fp16, which is for GPUs, and there is none here"
    if find_spec(variant.runtime) is None:
        return f"{variant.runtime} is not installed: pip install 'regard[{EXTRA[variant.runtime]}]'"
    return None


def _agreement(variant: Variant) -> float:
    if variant.judgement is not None:
        return variant.judgement.agreement
    return min(each.agreement for found in variant.certificates for each in found.comparisons)
