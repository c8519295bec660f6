"""A reference must be fit to prove something by: checked before a candidate is made."""

from collections.abc import Sequence
from dataclasses import replace

from regard.contract.answers.kind import AnswerKind
from regard.export.proof.expected import asked, check_finite
from regard.export.proof.neighbours import DependentLayer, check_neighbours
from regard.export.proof.runner import Runner
from regard.export.proof.scores_check import check_scores
from regard.export.proof.trial import Trial


def check_reference(
    reference: Runner,
    trials: Sequence[Trial],
    *,
    answer: AnswerKind,
    subject: str,
    tolerance: float,
    layer: DependentLayer | None = None,
) -> None:
    """Ask the reference about the largest batch, where most that can be wrong with its answers shows.

    Args:
        reference: the side that is right.
        trials: what a certificate tries.
        answer: the kind that it gives.
        subject: what is to be proven, for messages.
        tolerance: the error that passes, over the largest score.
        layer: names the first layer that makes rows depend on each other.

    Raises:
        InvalidInput: the reference stops at this shape, which the Card allows.
        ExportError: it answers NaN or infinity to one of the rows, the answers prove nothing, or the answer
            to a row depends on those beside it.
    """
    crowd = max(trials, key=lambda trial: trial.shape.batch)
    answers = asked(reference, crowd.inputs, crowd.shape, subject)
    check_finite(answers, crowd, reference.name, subject)
    check_scores([answers], answer=answer, subject=subject, tolerance=tolerance)
    apart = {
        rows: asked(reference, inputs, replace(crowd.shape, batch=len(rows)), subject)
        for rows, inputs in crowd.apart.items()
    }
    check_neighbours(
        answers,
        apart,
        crowd,
        tolerance=tolerance,
        subject=subject,
        reference=reference.name,
        layer=layer,
    )
