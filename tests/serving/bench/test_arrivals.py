"""Poisson arrivals: seeded, rising, inside the duration, and with the process's mean and spread."""

import numpy as np
import pytest

from regard.serving.bench.arrivals import poisson


def test_a_seed_fixes_the_arrivals() -> None:
    assert np.array_equal(poisson(50, 2, seed=1), poisson(50, 2, seed=1))
    assert not np.array_equal(poisson(50, 2, seed=1)[:5], poisson(50, 2, seed=2)[:5])


def test_times_rise_within_the_duration() -> None:
    times = poisson(1000, 3, seed=0)
    assert (np.diff(times) > 0).all()
    assert times[0] > 0
    assert times[-1] < 3


def test_counts_have_the_mean_and_the_variance_of_a_poisson_process() -> None:
    counts = np.array([poisson(40, 1, seed=seed).size for seed in range(2000)])
    assert counts.mean() == pytest.approx(40, abs=4 * (40 / 2000) ** 0.5)
    assert counts.var() == pytest.approx(40, rel=0.15)


def test_gaps_are_exponential() -> None:
    gaps = np.diff(poisson(1000, 20, seed=3))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)
    assert np.mean(gaps > gaps.mean()) == pytest.approx(np.exp(-1), abs=0.015)


@pytest.mark.parametrize(("rate", "duration"), [(0, 1), (1, 0), (-1, 1)])
def test_nonsense_is_refused(rate: float, duration: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        poisson(rate, duration, seed=0)
