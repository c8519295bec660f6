"""Paired bootstrap: how sure a difference is between models that answered the same images.

Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13: images are drawn with replacement, every
model's figure is taken over the very same draw, and the interval holds the middle 95 % of the differences.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from regard.serving.evaluate.metrics.metrics import Counts, Rates

RESAMPLES = 2000
SEED = 0
CONFIDENCE = 0.95
CELLS = 2_000_000  # of counts that are held at once

# how often each of N images was drawn (R, N) -> a model's figure over each draw (R,)
Figure = Callable[[Counts], Rates]


@dataclass(frozen=True)
class Difference:
    """One figure less another, over all images, and its interval; NaN where a figure is."""

    value: float
    low: float
    high: float


def resampled(figures: Sequence[Figure], images: int) -> Rates:
    """Each figure over the same draws, the same every time.

    Shape: F figures of `images` images -> (F, RESAMPLES).
    """
    random = np.random.default_rng(SEED)
    rows = max(1, CELLS // images)
    parts = []
    for start in range(0, RESAMPLES, rows):
        drawn = _drawn(random, min(rows, RESAMPLES - start), images)
        parts.append(np.stack([figure(drawn) for figure in figures]))
    return np.concatenate(parts, axis=1)


def interval(differences: Rates) -> tuple[float, float]:
    """What holds the middle of resampled differences (R,); NaN of none."""
    known = differences[~np.isnan(differences)]
    if not known.size:
        return float("nan"), float("nan")
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [outside, 1 - outside]).tolist()
    return low, high


def _drawn(random: np.random.Generator, rows: int, images: int) -> Counts:
    """How often each image is in each row's draw of as many images: (rows, images)."""
    chosen = random.integers(images, size=(rows, images)) + images * np.arange(rows)[:, None]
    return np.bincount(chosen.ravel(), minlength=rows * images).reshape(rows, images)
