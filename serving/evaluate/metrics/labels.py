"""Metrics of a classifier each of whose labels applies or not."""

import numpy as np
import numpy.typing as npt

from regard.contract.answers import Classes
from regard.contract.results import Classification
from regard.serving.evaluate.layouts import LabelledImage, numbers_of
from regard.serving.evaluate.metrics.average_precision import average_precision
from regard.serving.evaluate.metrics.metrics import Figures, Judged, Result
from regard.serving.evaluate.metrics.rates import by_label, mean, rates


class LabelMetrics:
    """Mean average precision, and precision, recall and F1 at the Card's thresholds: macro, the mean over the
    labels, and f1_micro, over all decisions.

    Average precision needs every image's probabilities, which are kept: 4 K bytes for an image.
    """

    def __init__(self, answer: Classes) -> None:
        self.labels = tuple(numbers_of(answer.labels))
        self.probabilities: list[npt.NDArray[np.float32]] = []
        self.truth: list[npt.NDArray[np.bool_]] = []
        self.answered: list[npt.NDArray[np.bool_]] = []

    def add(self, image: LabelledImage, result: Result) -> Judged:
        """Count an answer of all labels."""
        assert isinstance(result, Classification)
        assert isinstance(image.truth, tuple)
        by_name = dict(result.top)
        probabilities = np.array([by_name[label] for label in self.labels], np.float32)
        truth = np.isin(np.arange(len(self.labels)), image.truth)
        answered = np.array([label in result.labels for label in self.labels])
        self.probabilities.append(probabilities)
        self.truth.append(truth)
        self.answered.append(answered)
        either = int((truth | answered).sum())
        facts = {
            "truth": [label for label, applies in zip(self.labels, truth, strict=True) if applies],
            "labels": list(result.labels),
            "probabilities": [by_name[label] for label in self.labels],
        }
        return Judged(image.name, int((truth & answered).sum()) / either if either else 1.0, facts)

    def figures(self) -> Figures:
        """Of the answers so far."""
        truth, answered = np.stack(self.truth), np.stack(self.answered)
        hits, called, support = ((truth & answered).sum(0), answered.sum(0), truth.sum(0))
        columns = zip(np.stack(self.probabilities).T, truth.T, strict=True)
        precision = np.array([average_precision(*column) for column in columns])
        of_labels = rates(hits, called, support)
        all_decisions = (values.sum(keepdims=True) for values in (hits, called, support))
        return Figures(
            {
                "mean_average_precision": mean(precision),
                **{name: mean(values) for name, values in of_labels.items()},
                "f1_micro": float(rates(*all_decisions)["f1"][0]),
            },
            by_label(self.labels, {"average_precision": precision, **of_labels, "support": support}),
            None,
        )
