"""Precision, recall and F1 of labels, from how often each was hit, answered and true.

A rate whose denominator is zero is 0 where the label occurs at all, in truth or in answers, and NaN where it
does not; means leave NaN out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from regard.serving.evaluate.metrics.metrics import Counts, Rates


def rates(hits: Counts, answered: Counts, support: Counts) -> dict[str, Rates]:
    """precision, recall and f1 of each label: three counts (K,) to three rates (K,)."""
    return {
        "precision": ratio(hits, answered, answered + support),
        "recall": ratio(hits, support, answered + support),
        "f1": ratio(2 * hits, answered + support, answered + support),
    }


def ratio(part: Counts, whole: Counts, occurs: Counts) -> Rates:
    """The part of the whole for each label, 0 or NaN where there is no whole."""
    value = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return np.where(occurs > 0, value, np.nan)


def mean(values: Rates) -> float:
    """Over the labels that have a value; NaN where none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def by_label(labels: tuple[str, ...], columns: Mapping[str, Rates | Counts]) -> list[dict[str, Any]]:
    """Columns (K,) as a row for each label."""
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [
        {"label": label} | dict(zip(columns, row, strict=True))
        for label, row in zip(labels, rows, strict=True)
    ]
