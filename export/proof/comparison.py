"""One comparison for every proof: two runners answer the same trials, and a certificate says how far apart
they are.

Compared are the scores where the reference gives them, and the answer that is served, with what it decides:
the top-1 class, the labels that apply, or the label of every pixel. The maps of an explanation get a
certificate of their own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.contract.answers.kind import AnswerKind
from regard.contract.certificate import Certificate, Comparison
from regard.errors import ExportError
from regard.export.proof.bounds import Bounds, Precision
from regard.export.proof.expected import expected_answers
from regard.export.proof.runner import SCORES, Arrays, CannotRun, Recorded, Runner
from regard.export.proof.trial import Shape, Trial


class NotProven(ExportError):
    """A candidate that failed its proof; its draft stays for study."""


class ParityError(NotProven):
    """A candidate that departs from its reference at a shape. `certificates` say by how much; none where it
    could not run.
    """

    def __init__(self, message: str, *, shape: Shape, certificates: tuple[Certificate, ...] = ()) -> None:
        super().__init__(message)
        self.shape = shape
        self.certificates = certificates


@dataclass(frozen=True)
class Observation:
    """What both sides gave at one trial."""

    trial: Trial
    reference: Arrays
    candidate: Arrays


def prove(
    reference: Runner,
    candidate: Runner,
    trials: Sequence[Trial],
    *,
    answer: AnswerKind,
    precision: Precision,
    subject: str,
    images_from: str,
    maps: str | None = None,
    report: Callable[[str], None] = lambda stage: None,
) -> tuple[Certificate, ...]:
    """Prove that a candidate gives its reference's answers, and explanation where it has one.

    Args:
        reference: the side that is right.
        candidate: gives at least what the reference gives.
        trials: what both are asked.
        answer: the kind that both give.
        precision: of the candidate; it says what passes as the same.
        subject: the candidate, for messages.
        images_from: where the trials' images come from, for the record.
        maps: what the maps are, for the record; None where there are none.
        report: told of each trial as a side is asked it.

    Returns:
        The certificate of the answers and, with `maps`, another of these. All have passed.

    Raises:
        ParityError: the candidate departs from its reference, or stops at one of the trials.
        InvalidInput, ExportError: the reference's own answers prove nothing, see `expected_answers`.
    """
    answers = expected_answers(
        reference, trials, answer=answer, subject=subject, tolerance=precision.error, report=report
    )
    return prove_known(
        Recorded(reference.name, reference.sha256),
        answers,
        candidate,
        trials,
        answer=answer,
        precision=precision,
        subject=subject,
        images_from=images_from,
        maps=maps,
        report=report,
    )


def prove_known(
    reference: Recorded,
    answers: Sequence[Arrays],
    candidate: Runner,
    trials: Sequence[Trial],
    *,
    answer: AnswerKind,
    precision: Precision,
    subject: str,
    images_from: str,
    maps: str | None = None,
    report: Callable[[str], None] = lambda stage: None,
) -> tuple[Certificate, ...]:
    """Prove that a candidate gives the answers that its reference gave to the same trials; else as `prove`.

    Raises:
        ParityError: the candidate departs from them, or stops at one of the trials.
    """
    observations = []
    bounds = precision.bounds(answer)
    for turn, (trial, expected) in enumerate(zip(trials, answers, strict=True), 1):
        report(f"proving {turn} of {len(trials)}, {trial.shape}")
        try:
            observations.append(Observation(trial, expected, candidate.run(trial.inputs)))
        except CannotRun as error:
            raise ParityError(f"{subject} stops at {trial.shape}: {error}", shape=trial.shape) from None
    record: dict[str, Any] = {
        "candidate": candidate.name,
        "reference_sha256": reference.sha256,
        "candidate_sha256": candidate.sha256,
        "images": images_from,
    }
    certificates = [_of_answers(observations, answer, bounds, record | {"reference": reference.name})]
    if maps is not None:
        record["reference"] = f"{maps} of {reference.name}"
        certificates.append(_of_maps(observations, answer, bounds, record))
    for certificate in certificates:
        if not certificate.passed:
            raise _departure(certificate, tuple(certificates), subject)
    return tuple(certificates)


def _of_answers(
    observations: Sequence[Observation], answer: AnswerKind, bounds: Bounds, record: Mapping[str, Any]
) -> Certificate:
    """Probabilities are scores as well, held to the same bound; where only labels are given, the error is the
    fraction of those that differ.
    """
    given = observations[0].reference
    names = dict.fromkeys((SCORES, answer.scored_as or answer.tensor, answer.tensor))
    scores = [name for name in names if name in given and given[name].dtype == np.float32]
    comparisons, scale = [], 0.0
    for seen in observations:
        expected, found = seen.reference, seen.candidate
        agreement = answer.agreement(expected[answer.tensor], found[answer.tensor])
        if scores:
            # np.max: NaN stays
            error = float(np.max([largest_difference(expected[name], found[name]) for name in scores]))
            relative_error = relative(error, expected[scores[0]])
            scale = max(scale, _largest(expected[scores[0]]))
        else:
            error = relative_error = 1 - agreement
        comparisons.append(_comparison(seen.trial, error, relative_error, agreement))
    return Certificate(
        **record,
        max_error=bounds.error * scale if scores else 1 - bounds.agreement,
        min_agreement=bounds.agreement,
        comparisons=tuple(comparisons),
    )


def _of_maps(
    observations: Sequence[Observation], answer: AnswerKind, bounds: Bounds, record: Mapping[str, Any]
) -> Certificate:
    """Agreement is the fraction of maps that are within the tolerance of their own largest value: the maps'
    scales differ.
    """
    comparisons, scale = [], 0.0
    for seen in observations:
        maps = {name: seen.reference[name] for name in maps_among(seen.reference, answer)}
        errors = {name: largest_difference(values, seen.candidate[name]) for name, values in maps.items()}
        relatives = [relative(error, maps[name]) for name, error in errors.items()]
        agreement = float(np.mean([error <= bounds.error for error in relatives]))
        error = float(np.max(list(errors.values())))
        comparisons.append(_comparison(seen.trial, error, float(np.max(relatives)), agreement))
        scale = max(scale, *map(_largest, maps.values()))
    return Certificate(
        **record,
        max_error=bounds.error * scale,
        min_agreement=1.0,
        comparisons=tuple(comparisons),
    )


def maps_among(names: Iterable[str], answer: AnswerKind) -> list[str]:
    """Which of the tensors that a runner gives are neither the answer nor its scores."""
    return [name for name in names if name not in (SCORES, answer.tensor, answer.scored_as)]


def _comparison(trial: Trial, error: float, relative_error: float, agreement: float) -> Comparison:
    return Comparison(
        **asdict(trial.shape),
        traced=trial.traced,
        max_error=error,
        relative_error=relative_error,
        agreement=agreement,
    )


def _departure(certificate: Certificate, certificates: tuple[Certificate, ...], subject: str) -> ParityError:
    worst = next(
        c for c in certificate.comparisons if not certificate.model_copy(update={"comparisons": (c,)}).passed
    )
    shape = Shape(**{field.name: getattr(worst, field.name) for field in fields(Shape)})
    message = (
        f"{subject} departs from {certificate.reference} at {shape}: error {worst.max_error:.3g}, at most "
        f"{certificate.max_error:.3g} passes; agreement {worst.agreement:.2%}, at least "
        f"{certificate.min_agreement:.2%} passes"
    )
    return ParityError(message, shape=shape, certificates=certificates)


def largest_difference(reference: npt.NDArray[Any], candidate: npt.NDArray[Any]) -> float:
    """Largest absolute difference; NaN where either holds NaN, infinity where the shapes differ."""
    if reference.shape != candidate.shape:
        return float("inf")
    return float(np.abs(reference.astype(np.float64) - candidate).max())


def relative(error: float, reference: npt.NDArray[Any]) -> float:
    """An absolute error over the largest reference value; as it is where all of them are 0."""
    return error / (_largest(reference) or 1.0)


def _largest(values: npt.NDArray[Any]) -> float:
    return float(np.abs(values).max())
