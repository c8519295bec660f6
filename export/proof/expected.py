"""What the reference answers to the trials, refused where it proves nothing."""

from collections.abc import Callable, Sequence

import numpy as np

from regard.contract.answers.kind import AnswerKind
from regard.errors import ExportError, InvalidInput
from regard.export.proof.runner import Arrays, CannotRun, Runner
from regard.export.proof.scores_check import check_scores
from regard.export.proof.trial import Shape, Trial


def expected_answers(
    reference: Runner,
    trials: Sequence[Trial],
    *,
    answer: AnswerKind,
    subject: str,
    tolerance: float,
    report: Callable[[str], None] = lambda stage: None,
) -> list[Arrays]:
    """The reference's answers, one for each trial.

    Args:
        reference: the side that is right.
        trials: what it is asked.
        answer: the kind that it gives.
        subject: what is to be proven, for messages.
        tolerance: the error that passes, over the largest score.
        report: told of each trial as it begins.

    Raises:
        InvalidInput: the reference stops at a shape that the Card allows.
        ExportError: it answers NaN or infinity to something, or the answers prove nothing.
    """
    answers = []
    for turn, trial in enumerate(trials, 1):
        report(f"asking the reference {turn} of {len(trials)}, {trial.shape}")
        answers.append(asked(reference, trial.inputs, trial.shape, subject))
        check_finite(answers[-1], trial, reference.name, subject)
    check_scores(answers, answer=answer, subject=subject, tolerance=tolerance)
    return answers


def asked(reference: Runner, inputs: Arrays, shape: Shape, subject: str) -> Arrays:
    """The reference's answer to a trial, or to a part of it.

    Raises:
        InvalidInput: it stops at this shape.
    """
    try:
        return reference.run(inputs)
    except CannotRun as error:
        raise InvalidInput(
            f"{subject} cannot be proven: {reference.name} itself stops at {shape}, which "
            f"the Card allows; correct the Card's sizes, or the network: {error}"
        ) from None


def check_finite(answers: Arrays, trial: Trial, reference: str, subject: str) -> None:
    """Hold the reference's answers to a trial against NaN and infinity.

    Raises:
        ExportError: with the first row that gets one.
    """
    for name, values in answers.items():
        rows = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not rows.all():
            raise ExportError(
                f"{subject} cannot be proven: {reference} answers NaN or infinity ({name}) to "
                f"{trial.kinds[int(rows.argmin())]}, in a {trial.shape}. Look for a division by what is 0 "
                "there, such as a softmax over positions that are all masked"
            )
