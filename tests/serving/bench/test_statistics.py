"""Statistics against printed tables and naive definitions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.serving.bench.statistics import (
    Estimate,
    half_width,
    mean_of,
    percentile,
    percentile_of,
    steady,
    student_cdf,
    student_quantile,
)


@pytest.mark.parametrize(
    ("confidence", "freedom", "expected"),  # of the table in any textbook
    [
        (0.95, 1, 12.706),
        (0.95, 2, 4.303),
        (0.95, 4, 2.776),
        (0.95, 9, 2.262),
        (0.95, 30, 2.042),
        (0.99, 3, 5.841),
        (0.90, 7, 1.895),
    ],
)
def test_student_quantile_is_the_tables(confidence: float, freedom: int, expected: float) -> None:
    assert student_quantile(confidence, freedom) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 10])
def test_student_cdf_is_the_integral_of_the_density(freedom: int) -> None:
    scale = math.gamma((freedom + 1) / 2) / math.sqrt(freedom * math.pi) / math.gamma(freedom / 2)
    steps, t = 20_000, 1.7
    density = [
        scale * (1 + (t * (i + 0.5) / steps) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(steps)
    ]
    assert student_cdf(t, freedom) == pytest.approx(0.5 + sum(density) * t / steps, abs=1e-8)
    assert student_cdf(-t, freedom) == pytest.approx(1 - student_cdf(t, freedom))


def test_half_width_by_hand() -> None:
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.302653 * 1.0 / math.sqrt(3), rel=1e-6)
    assert half_width([5.0]) is None
    assert mean_of([1.0, 2.0, 3.0]).value == 2.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0.1, 100))
def test_percentile_is_the_smallest_value_that_q_percent_do_not_exceed(values: list[float], q: float) -> None:
    found = percentile(values, q)
    covers = [value for value in values if sum(other <= value for other in values) >= q / 100 * len(values)]
    assert found == min(covers)


def test_percentile_of_nothing_is_nan_and_of_nonsense_refused() -> None:
    assert math.isnan(percentile([], 50))
    with pytest.raises(ValueError, match="101"):
        percentile([1.0], 101)


def test_percentile_of_repeats_pools_them() -> None:
    assert percentile_of([[1.0, 2.0], [3.0, 100.0]], 100) == Estimate(100.0, half_width([2.0, 100.0]), 4)


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([(100, 5), (101, 5.1)], False),  # too few
        ([(10, 50), (100, 5), (101, 5.1), (99, 4.9)], True),  # the first does not count
        ([(100, 5), (130, 5), (100, 5)], False),  # throughput jumps
        ([(100, 5), (100, 7), (100, 5)], False),  # latency jumps
        ([(100, 5), (100, math.nan), (100, 5)], False),
    ],
)
def test_steady(windows: list[tuple[float, float]], expected: bool) -> None:
    assert steady(windows, 0.1) is expected
