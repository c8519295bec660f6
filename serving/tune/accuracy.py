"""How good the variants are, and which are good enough: judged on labelled images, or as their proofs say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from regard.serving.evaluate.compare import compare
from regard.serving.evaluate.data import Data
from regard.serving.evaluate.run import evaluate
from regard.serving.evaluate.subject import artifact
from regard.serving.tune.candidates import Candidate

RECORDED = "agreement with float32"


@dataclass(frozen=True)
class Accuracy:
    """Of each variant by name.

    Attributes:
        metric: what the values are, 0 to 1.
        measured: on labelled images here; otherwise as recorded when the variants were made.
        values: of the metric.
        good: the variants that may be chosen: not worse than the best one by more than half a point, as
            `regard.serving.evaluate.comparison` decides; without labelled images all, since each passed its
            proof.
    """

    metric: str
    measured: bool
    values: dict[str, float]
    good: frozenset[str]


def recorded(candidates: Sequence[Candidate]) -> Accuracy:
    """What the variants' proofs say."""
    values = {candidate.name: candidate.agreement for candidate in candidates}
    return Accuracy(RECORDED, False, values, frozenset(values))


def measured(
    candidates: Sequence[Candidate], data: Data, advance: Callable[[], None] = lambda: None
) -> Accuracy:
    """Judge every variant on the same images; `advance` is called after each image.

    Raises:
        RegardError: as of `regard.serving.evaluate.compare.compare`.
    """
    subjects = [replace(artifact(each.artifact.folder), name=each.name) for each in candidates]
    names = [subject.name for subject in subjects]
    if len(subjects) == 1:
        figures = evaluate(subjects[0], data, watch=lambda *_: advance()).figures
        ((metric, value), *_) = figures.metrics.items()
        return Accuracy(metric, True, {names[0]: value}, frozenset(names))
    found = compare(subjects, data, advance=advance)
    values = {name: model.figure for name, model in zip(names, found.models, strict=True)}
    return Accuracy(found.metric, True, values, frozenset(names[place] for place in found.good))
