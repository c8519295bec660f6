"""How far two answers to one image say the same."""

import numpy as np

from regard.contract.card import Card
from regard.contract.results import Classification, Segmentation
from regard.serving.evaluate.metrics.metrics import Result


def agreement(card: Card, first: Result, other: Result) -> float:
    """The fraction of equal decisions, 0 to 1: of the one label; of all labels, where each applies or not; or
    of the pixels that either network saw.
    """
    labels = len(card.answer.labels)
    if isinstance(first, Segmentation):
        assert isinstance(other, Segmentation)
        seen = np.minimum(first.label_map, other.label_map) < labels
        return float((first.label_map == other.label_map)[seen].mean()) if seen.any() else 1.0
    assert isinstance(other, Classification)
    if card.answer.activation == "softmax":
        return float(first.label == other.label)
    return 1 - len({*first.labels} ^ {*other.labels}) / labels
