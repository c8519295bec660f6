"""fp16: a graph of its own, for GPUs. Here it is proven in accuracy alone, rounded as on one (see
`regard.export.precision.rounded`): against what the network itself answered to the goldens, and against the
float32 graph at every kind of size that the Card allows.
"""

from collections.abc import Sequence
from typing import Any

from onnx import ModelProto

from regard.contract.certificate import Certificate
from regard.contract.goldens import Golden, read_goldens
from regard.contract.names import GOLDENS, IMAGE
from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact, read_graph
from regard.export.precision.fp16 import in_fp16, prepared
from regard.export.precision.fp16_needs import float32_needs
from regard.export.precision.reach import reaches
from regard.export.precision.rounded import rounded
from regard.export.proof.bounds import FP16
from regard.export.proof.comparison import ParityError, prove, prove_known
from regard.export.proof.graph_runner import GraphRunner
from regard.export.proof.runner import Recorded
from regard.export.proof.trial import Trial
from regard.export.proof.trials import trials_of
from regard.export.sessions.open_artifact import runtime_name
from regard.serving.evaluate.data import Data
from regard.serving.optimize.drafting import Drafting, Made
from regard.serving.optimize.pools import Pool, calibration_beside, fitted
from regard.serving.optimize.progress import Advance


def make_fp16(drafting: Drafting, pool: Pool | None, labelled: Data | None) -> Made:
    """Convert, prove, and judge by labelled images where there are some.

    pool: images to look on for what has to stay in float32, and to prove by, none of which judges; None: the
        artifact's goldens.

    Raises:
        ParityError: it departs from float32, or from the network.
        InvalidInput: too few images.
        ExportError: the graph cannot be converted.
    """
    artifact = drafting.artifact
    card = artifact.card
    goldens = read_goldens(artifact.folder / GOLDENS)
    calibration = None if pool is None else calibration_beside(pool, labelled)
    if calibration is None:
        images, images_from = [golden.pixels for golden in goldens], f"the goldens of {card.name}"
        batches: list[Pixels] = []
    else:
        images, images_from = [fitted(image, card) for image in calibration.images], str(calibration)
        batches = [pixels[None] for pixels in images]
    trials, recorded = (
        trials_of(images, card, traced=None),
        [_trial(each, artifact) for each in goldens],
    )
    batches += [trial.image for trial in (*trials, *recorded)]

    original = prepared(read_graph(artifact.model))
    with drafting.progress("looking at how far numbers reach", len(batches)) as advance:
        kept = float32_needs(original, reaches(original, batches, advance=advance))
    variant = drafting.written(in_fp16(original, kept), "fp16")
    with drafting.progress("proving", len(recorded) + 2 * len(trials)) as advance:
        try:
            proof = _Proof(artifact, variant, original, advance)
            certificates = (proof.by_goldens(recorded, goldens), *proof.by_graph(trials, images_from))
        except ParityError as error:
            raise ParityError(
                f"{error}. The draft is in {drafting.draft}; give images like those that will come, or "
                "serve this model in another precision",
                shape=error.shape,
                certificates=error.certificates,
            ) from None
    made_with = None if calibration is None else str(calibration)
    judgement = None if labelled is None else drafting.judged(variant, labelled, calibration=made_with)
    return Made(variant, judgement, certificates, kept)


class _Proof:
    """Of a variant, rounded after each node, in what is served: probabilities or labels, and maps."""

    def __init__(self, artifact: Artifact, variant: Artifact, original: ModelProto, advance: Advance) -> None:
        tensors = {output.name: output.name for output in original.graph.output}
        half = rounded(read_graph(variant.model))
        self.card = artifact.card
        self.candidate = GraphRunner(half, tensors, sha256=variant.sha256, name=runtime_name(variant))
        self.reference = GraphRunner(
            original, tensors, sha256=artifact.sha256, name=f"the float32 graph in {runtime_name(artifact)}"
        )
        self.settings: dict[str, Any] = {
            "answer": self.card.answer,
            "precision": FP16,
            "subject": f"the fp16 variant of {self.card.name}",
            "report": lambda stage: advance(),
        }
        self.maps = "the explanation" if len(tensors) > 1 else None

    def by_goldens(self, trials: Sequence[Trial], goldens: Sequence[Golden]) -> Certificate:
        """Against the reference of the artifact's own certificate: its answers are on record."""
        before = self.card.certificates[0]
        answers = [{self.card.answer.tensor: golden.reference[None]} for golden in goldens]
        reference = Recorded(before.reference, before.reference_sha256)
        (certificate,) = prove_known(
            reference,
            answers,
            self.candidate,
            trials,
            images_from=f"the goldens of {self.card.name}",
            **self.settings,
        )
        return certificate

    def by_graph(self, trials: Sequence[Trial], images_from: str) -> tuple[Certificate, ...]:
        """Against the float32 graph, which the artifact's own certificate holds against the network."""
        return prove(
            self.reference, self.candidate, trials, images_from=images_from, maps=self.maps, **self.settings
        )


def _trial(golden: Golden, artifact: Artifact) -> Trial:
    pixels = artifact.card.input.decode_and_fit(golden.encoded)
    return Trial({IMAGE: pixels[None]}, (golden.name,), traced=False)
