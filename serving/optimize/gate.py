"""The gate: a variant is held against float32 on images that it was not made with.

With labels the task's figure may drop by at most half a point, at the lower end of a paired bootstrap's
interval as well. With and without, nearly all decisions must be the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from regard.contract.card import Card
from regard.contract.judgement import Accuracy, Judgement
from regard.contract.variant import Variant
from regard.export.artifact import Artifact
from regard.export.proof.comparison import NotProven
from regard.export.sessions.open_artifact import runtime_name
from regard.serving.evaluate.agreement import agreement
from regard.serving.evaluate.compare import compare
from regard.serving.evaluate.data import Data
from regard.serving.evaluate.subject import Subject, opened
from regard.serving.optimize.pools import Pool, described
from regard.serving.optimize.progress import Advance

MAX_DROP = 0.005  # of the figure
MIN_AGREEMENT = 0.99  # mean over the images
MIN_PIXELS = 0.975  # of the worst image


@dataclass(frozen=True)
class BlockCost:
    """A block, and what quantizing it costs.

    cost: by how much more of float32's answers is met where this block alone is not quantized, 0 to 1, see
        `regard.serving.optimize.block_costs.overlap`; negative where its errors cancel others.
    """

    block: str
    cost: float


class GateError(NotProven):
    """A variant that is not as good as float32. costs: of its blocks, the costliest first; none of those that
    have no blocks to leave out.
    """

    def __init__(self, message: str, variant: Variant, costs: Sequence[BlockCost]) -> None:
        super().__init__(message)
        self.variant = variant
        self.costs = costs


def judge(
    artifact: Artifact,
    variant: Artifact,
    held_out: Data | Pool,
    *,
    ignore_index: int | None,
    advance: Advance,
) -> Judgement:
    """Ask both for every image.

    Args:
        artifact: float32.
        variant: of it; it may be a draft.
        held_out: labelled data, or images without labels, which show agreement only.
        ignore_index: of pixels without a label, in place of the Card's.
        advance: called when both have answered an image.

    Raises:
        InvalidInput: an image or its label map cannot be read or does not fit.
        RegardError: one does not answer.
    """
    subjects = opened(artifact), opened(variant)
    accuracy = None
    if isinstance(held_out, Data):
        comparison = compare(subjects, held_out, ignore_index=ignore_index, advance=advance)
        difference = comparison.difference(1)
        accuracy = Accuracy(
            metric=comparison.metric,
            reference=comparison.models[0].figure,
            variant=comparison.models[1].figure,
            low=difference.low,
            high=difference.high,
            max_drop=MAX_DROP,
        )
        agreements: Sequence[float] = comparison.models[1].agreements
    else:
        agreements = _agreements(artifact.card, *subjects, held_out, advance)
    return Judgement(
        reference_sha256=artifact.sha256,
        variant_sha256=variant.sha256,
        candidate=runtime_name(variant),
        data=described(held_out.found_in, len(agreements)),
        images=len(agreements),
        agreement=sum(agreements) / len(agreements),
        least_agreement=min(agreements),
        min_agreement=MIN_AGREEMENT,
        min_least_agreement=MIN_PIXELS if artifact.card.task == "segmentation" else 0.0,
        accuracy=accuracy,
    )


def _agreements(
    card: Card, reference: Subject, variant: Subject, images: Pool, advance: Advance
) -> list[float]:
    found = []
    for image in images.images:
        found.append(agreement(card, reference.answer(image.image), variant.answer(image.image)))
        advance()
    return found
