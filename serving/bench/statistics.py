"""Estimates from samples: percentiles, means with Student's confidence interval, and the rule for a steady
state.

Student, "The Probable Error of a Mean", Biometrika 1908. The half width of the interval around the mean of n
values is t(confidence, n - 1) * s / sqrt(n).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value with the half width of its confidence interval, which is None for a single repeat."""

    value: float
    half_width: float | None
    n: int

    def scaled(self, factor: float) -> "Estimate":
        """The same estimate in another unit."""
        return Estimate(
            self.value * factor, None if self.half_width is None else self.half_width * factor, self.n
        )


def digits(value: float) -> str:
    """Three significant digits, and a whole number from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percentile(values: Sequence[float], q: float) -> float:
    """The nearest-rank percentile: the smallest value that at least q percent of the values do not exceed;
    NaN of no values.
    """
    if not 0 < q <= 100:
        raise ValueError(f"q must be above 0 and at most 100, got {q}")
    if not values:
        return math.nan
    return sorted(values)[math.ceil(q / 100 * len(values)) - 1]


def student_cdf(t: float, freedom: int) -> float:
    """P(T <= t) for T with Student's distribution; the finite series of Abramowitz & Stegun 26.7.3 and
    26.7.4.
    """
    theta = math.atan(t / math.sqrt(freedom))
    cos, sin = math.cos(theta), math.sin(theta)
    odd = freedom % 2
    term = total = cos if odd else 1.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= (k - 1) / k * cos * cos
        total += term
    if not odd:
        return 0.5 + sin * total / 2
    return 0.5 + (theta + (sin * total if freedom > 1 else 0.0)) / math.pi


def student_quantile(confidence: float, freedom: int) -> float:
    """The t with P(|T| <= t) = confidence, to 1e-9, by bisection."""
    if not 0 < confidence < 1 or freedom < 1:
        raise ValueError(
            f"confidence must lie between 0 and 1 and freedom be positive, got {confidence} and {freedom}"
        )
    target = (1 + confidence) / 2
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < target:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, freedom) < target else (low, middle)
    return high


def half_width(repeats: Sequence[float], confidence: float = CONFIDENCE) -> float | None:
    """Half the width of the confidence interval of the repeats' mean; None of fewer than two."""
    if len(repeats) < 2:
        return None
    return student_quantile(confidence, len(repeats) - 1) * stdev(repeats) / math.sqrt(len(repeats))


def mean_of(repeats: Sequence[float]) -> Estimate:
    """The repeats' mean with its confidence interval."""
    return Estimate(fmean(repeats) if repeats else math.nan, half_width(repeats), len(repeats))


def percentile_of(repeats: Sequence[Sequence[float]], q: float) -> Estimate:
    """The percentile of all repeats' values pooled; the interval is that of the repeats' own percentiles."""
    pooled = [value for repeat in repeats for value in repeat]
    return Estimate(
        percentile(pooled, q),
        half_width([percentile(repeat, q) for repeat in repeats if repeat]),
        len(pooled),
    )


def steady(windows: Sequence[Sequence[float]], tolerance: float, count: int = 3) -> bool:
    """Whether each figure of the last `count` windows lies within `tolerance` of its mean over them
    (perf_analyzer's rule).

    windows: one sequence of figures each, such as (throughput, latency). Too few windows, and NaN, are never
        steady.
    """
    last = windows[-count:]
    if len(last) < count:
        return False
    return all(
        all(abs(value - fmean(figure)) <= tolerance * fmean(figure) for value in figure)
        for figure in zip(*last, strict=True)
    )
