"""Scores must be such that they tell a right candidate from a wrong one: checked over all images of the
trials.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.contract.answers.kind import AnswerKind
from regard.contract.answers.labelled import Labelled
from regard.errors import ExportError
from regard.export.proof.runner import SCORES, Arrays

# times the error that passes: how far the scores must vary from row to row, lest the answer to one passes
# for that to another
LEAST_SPREAD = 10
NEAR = 0.05  # of 0 or 1


def check_scores(answers: Sequence[Arrays], *, answer: AnswerKind, subject: str, tolerance: float) -> None:
    """Hold the reference's answers to all trials against what a proof needs of them.

    Args:
        answers: to one trial each, an array for each name (B, ...).
        answer: their kind.
        subject: what is to be proven, for messages.
        tolerance: the error that passes, over the largest score.

    Raises:
        ExportError: they are the same for everything, or scores that already are probabilities.
    """
    judged = SCORES if SCORES in answers[0] else answer.scored_as or answer.tensor
    values = [each[judged] for each in answers]
    _refuse_constant(values, judged, subject, tolerance)
    if judged != SCORES or not isinstance(answer, Labelled):
        return
    if answer.activation == "sigmoid" or answer.task == "classification":
        _refuse_probabilities(values, answer, subject)


def _refuse_constant(values: Sequence[npt.NDArray[Any]], judged: str, subject: str, tolerance: float) -> None:
    """A constant would pass as well as the candidate; the proof would hold nothing against it."""
    scale = max(float(np.abs(each).max()) for each in values)
    if np.issubdtype(values[0].dtype, np.integer):  # labels
        tolerance = 0.0
    if not spread(values) > LEAST_SPREAD * tolerance * scale:
        found = (
            "all of them 0"
            if scale == 0
            else f"{spread(values):.2g} apart, {LEAST_SPREAD * tolerance * scale:.2g} are needed"
        )
        raise ExportError(
            f"{subject} cannot be proven: the reference gives everything in the trials the same {judged} "
            f"({found}), so that a constant would pass as well. An untrained network may start like that, "
            "its last layer all zeros: take trained weights, or draw those of the last layer at random"
        )


def spread(values: Sequence[npt.NDArray[Any]]) -> float:
    """The largest difference between two rows of one batch in the same place of their answers."""
    return max(float(np.ptp(each, axis=0).max()) for each in values)


def _refuse_probabilities(scores: Sequence[npt.NDArray[Any]], answer: Labelled, subject: str) -> None:
    """The served graph would apply the activation once more."""
    exclusive = answer.task == "classification" and answer.scores > 1 and all(map(sum_to_one, scores))
    if not exclusive and not fill_0_to_1(np.concatenate([each.ravel() for each in scores])):
        return
    found = "softmax" if exclusive else "sigmoid"
    says = "" if answer.activation == found else f", and set the Card's activation to {found!r}"
    sums = "adding up to 1 " if exclusive else ""
    raise ExportError(
        f"{subject} cannot be proven: its network already returns probabilities, scores from 0 to 1 {sums}"
        f"for every image of the trials. Drop its last {found}{says}; the graph applies it itself"
    )


def sum_to_one(rows: npt.NDArray[Any]) -> bool:
    """Whether rows are probabilities of classes that exclude each other: 0 or more, adding up to 1."""
    return bool(rows.min() >= 0 and np.all(np.abs(rows.astype(np.float64).sum(axis=1) - 1) < 1e-3))


def fill_0_to_1(values: npt.NDArray[Any]) -> bool:
    """Whether values lie between 0 and 1 and come near both, as those of a trained sigmoid do. Scores of an
    untrained network may lie there by chance.
    """
    return bool(0 <= values.min() <= NEAR and 1 - NEAR <= values.max() <= 1)
