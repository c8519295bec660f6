"""Metrics of a segmenter, over the pixels of the images that were sent.

A pixel that a crop kept from the network has no answer, and counts as a wrong one.
"""

from pathlib import Path

import numpy as np

from regard.contract.answers import LabelMap
from regard.contract.preprocess import Pixels
from regard.contract.results import Segmentation
from regard.models.label_files import check_known, read_label_map
from regard.serving.evaluate.layouts import LabelledImage
from regard.serving.evaluate.metrics.metrics import Confusion, Counts, Figures, Judged, Rates, Result
from regard.serving.evaluate.metrics.rates import by_label, mean, rates, ratio

NOT_SEEN = "(cut off)"


class PixelMetrics:
    """Mean intersection over union and pixel accuracy.

    ignore_index: of pixels without a label, which are left out.
    """

    def __init__(self, answer: LabelMap, ignore_index: int | None) -> None:
        self.labels = answer.labels
        self.ignore_index = ignore_index
        self.counts = np.zeros((len(self.labels), len(self.labels) + 1), np.int64)

    def add(self, image: LabelledImage, result: Result) -> Judged:
        """Count an answer of the image's own size."""
        assert isinstance(result, Segmentation)
        assert isinstance(image.truth, Path)
        height, width = result.label_map.shape
        truth = read_label_map(image.truth, (height, width))
        check_known(truth, image.truth, len(self.labels), self.ignore_index)
        counts = pixel_confusion(result.label_map, truth, len(self.labels))
        self.counts += counts
        hits, answered, support = _sums(counts)
        judged = int(support.sum())
        accuracy = float(hits.sum() / judged) if judged else 1.0
        iou = mean(intersection_over_union(counts)) if judged else 1.0
        facts = {
            "mean_iou": iou,
            "pixel_accuracy": accuracy,
            "hits": hits.tolist(),
            "answered": answered.tolist(),
            "support": support.tolist(),
        }
        return Judged(image.name, iou, facts)

    def figures(self) -> Figures:
        """Of the answers so far."""
        hits, answered, support = _sums(self.counts)
        iou = intersection_over_union(self.counts)
        of_labels = {"iou": iou, **rates(hits, answered, support)}
        total = int(support.sum())
        whole = not self.counts[:, -1].any()
        return Figures(
            {
                "mean_iou": mean(iou),
                "pixel_accuracy": float(hits.sum() / total) if total else float("nan"),
            },
            by_label(self.labels, {**of_labels, "support": support}),
            Confusion(self.labels, self.labels, self.counts[:, :-1])
            if whole
            else Confusion(self.labels, (*self.labels, NOT_SEEN), self.counts),
        )


def pixel_confusion(label_map: Pixels, truth: Pixels, num_labels: int) -> Counts:
    """Count pairs: entry (t, p) is how many pixels of label t were answered with p; the last column is for
    pixels without an answer. Pixels whose truth is no label are left out.

    Shape: two maps (H, W) -> (K, K + 1).
    """
    kept = truth < num_labels
    answered = np.minimum(label_map[kept].astype(np.int64), num_labels)
    pairs = truth[kept].astype(np.int64) * (num_labels + 1) + answered
    return np.bincount(pairs, minlength=num_labels * (num_labels + 1)).reshape(num_labels, num_labels + 1)


def intersection_over_union(counts: Counts) -> Rates:
    """IoU of each label; NaN for one that neither occurs nor is answered: (K, K + 1) -> (K,)."""
    hits, answered, support = _sums(counts)
    union = support + answered - hits
    return ratio(hits, union, union)


def _sums(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """Of each label: pixels hit, answered, and there."""
    return counts.diagonal(), counts.sum(0)[:-1], counts.sum(1)
