"""Expected calibration error: how far a model's confidence is from how often it is right.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, eqs. 2-5: confidences fall into equal bins
(i / BINS, (i + 1) / BINS], and the error is sum_i n_i / n |accuracy_i - mean confidence_i|.
"""

import math

import numpy as np

BINS = 15


class Calibration:
    """Adds up the confidence of answers that are right or wrong."""

    def __init__(self) -> None:
        self.answers = np.zeros(BINS)
        self.right = np.zeros(BINS)
        self.confidence = np.zeros(BINS)

    def add(self, confidence: float, right: bool) -> None:
        """Count an answer; confidence: the probability of what was answered, 0 to 1."""
        index = min(max(math.ceil(confidence * BINS) - 1, 0), BINS - 1)
        self.answers[index] += 1
        self.right[index] += right
        self.confidence[index] += confidence

    def error(self) -> float:
        """The expected calibration error, 0 to 1."""
        return float(np.abs(self.right - self.confidence).sum() / self.answers.sum())
