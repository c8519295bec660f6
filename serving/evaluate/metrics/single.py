"""Metrics of a classifier whose labels exclude each other."""

import numpy as np

from regard.contract.answers import Classes
from regard.contract.results import Classification
from regard.serving.evaluate.layouts import LabelledImage, numbers_of
from regard.serving.evaluate.metrics.calibration import Calibration
from regard.serving.evaluate.metrics.metrics import Confusion, Figures, Judged, Result
from regard.serving.evaluate.metrics.rates import by_label, mean, rates

TOP = 5


class SingleMetrics:
    """top1, top5 (of more than five labels), macro precision, recall and F1, and calibration error."""

    def __init__(self, answer: Classes) -> None:
        self.labels = answer.labels
        self.numbers = numbers_of(answer.labels)
        self.counts = np.zeros((len(self.labels), len(self.labels)), np.int64)
        self.among_top = 0
        self.calibration = Calibration()

    def add(self, image: LabelledImage, result: Result) -> Judged:
        """Count an answer of all labels."""
        assert isinstance(result, Classification)
        assert isinstance(image.truth, tuple)
        (true,) = image.truth
        label = self.labels[true]
        right = result.label == label
        self.counts[true, self.numbers[result.label]] += 1
        self.among_top += label in dict(result.top[:TOP])
        self.calibration.add(result.probability, right)
        probability = dict(result.top)[label]
        facts = {
            "truth": label,
            "label": result.label,
            "probability": result.probability,
            "probability_of_truth": probability,
            "right": right,
        }
        return Judged(image.name, probability, facts)

    def figures(self) -> Figures:
        """Of the answers so far."""
        hits, support = self.counts.diagonal(), self.counts.sum(1)
        of_labels = rates(hits, self.counts.sum(0), support)
        total = int(support.sum())
        metrics = {"top1": float(hits.sum() / total)}
        if len(self.labels) > TOP:
            metrics[f"top{TOP}"] = self.among_top / total
        metrics |= {name: mean(values) for name, values in of_labels.items()}
        metrics["calibration_error"] = self.calibration.error()
        return Figures(
            metrics,
            by_label(self.labels, {**of_labels, "support": support}),
            Confusion(self.labels, self.labels, self.counts),
        )
