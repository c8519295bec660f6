"""A model's figure over any draw of images, from what is kept of each: the first of its metrics."""

from collections.abc import Sequence

import numpy as np

from regard.contract.answers import Classes
from regard.contract.card import Card
from regard.serving.evaluate.bootstrap import Figure
from regard.serving.evaluate.metrics.metrics import Counts, Judged, Rates


def figure_of(card: Card, each: Sequence[Judged]) -> Figure:
    """Top-1, mean average precision or mean IoU of images that may be drawn several times, or not at all."""
    if not isinstance(card.answer, Classes):
        return _mean_iou(each)
    return _top1(each) if card.answer.activation == "softmax" else _mean_precision(each, card.answer.labels)


def _top1(each: Sequence[Judged]) -> Figure:
    right = np.array([judged.facts["right"] for judged in each], np.float64)
    return lambda drawn: drawn @ right / drawn.sum(1)


def _mean_iou(each: Sequence[Judged]) -> Figure:
    hits, answered, support = (
        np.array([judged.facts[name] for judged in each], np.float64)  # exact up to 2^53 pixels
        for name in ("hits", "answered", "support")
    )
    union = answered + support - hits

    def figure(drawn: Counts) -> Rates:
        parts, wholes = drawn @ hits, drawn @ union
        return _means(np.divide(parts, wholes, out=np.full_like(parts, np.nan), where=wholes > 0))

    return figure


def _mean_precision(each: Sequence[Judged], labels: Sequence[str]) -> Figure:
    probabilities = np.array([judged.facts["probabilities"] for judged in each], np.float64)
    applies = np.array([[label in judged.facts["truth"] for label in labels] for judged in each])
    columns = [*zip(probabilities.T, applies.T, strict=True)]

    def figure(drawn: Counts) -> Rates:
        return _means(np.stack([average_precisions(*column, drawn) for column in columns], axis=1))

    return figure


def average_precisions(probabilities: Rates, truth: Counts, drawn: Counts) -> Rates:
    """Average precision, as of `regard.serving.evaluate.metrics.average_precision`, over each draw.

    Shape: (N,), (N,), (R, N) -> (R,); NaN for a draw without an image that has the label.
    """
    order = np.argsort(-probabilities, kind="stable")
    last = np.append(np.diff(probabilities[order]) != 0, True)  # of the images that share a probability
    called = np.cumsum(drawn[:, order], axis=1)[:, last]
    hits = np.cumsum(drawn[:, order] * truth[order], axis=1)[:, last]
    precision = hits / np.maximum(called, 1)
    area = (np.diff(hits, axis=1, prepend=0) * precision).sum(1)
    total = hits[:, -1]
    return np.divide(area, total, out=np.full(len(area), np.nan), where=total > 0)


def _means(values: Rates) -> Rates:
    """Over the labels that have a value in a draw: (R, K) -> (R,); NaN where none has."""
    known = (~np.isnan(values)).sum(1)
    return np.divide(np.nansum(values, axis=1), known, out=np.full(len(values), np.nan), where=known > 0)
