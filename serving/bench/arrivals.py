"""Poisson arrivals: users who come on their own, whatever the server is doing.

The gaps between arrivals are independent and exponential with mean 1 / rate; a seed fixes them, so that a run
can be repeated.
"""

import numpy as np
import numpy.typing as npt


def poisson(rate: float, duration: float, *, seed: int) -> npt.NDArray[np.float64]:
    """The arrival times in [0, duration), in seconds and rising, of a Poisson process with `rate` arrivals a
    second.
    """
    if rate <= 0 or duration <= 0:
        raise ValueError(f"rate and duration must be positive, got {rate} and {duration}")
    generator = np.random.default_rng(seed)
    times = np.empty(0)
    while not times.size or times[-1] < duration:
        expected = rate * (duration - (times[-1] if times.size else 0.0))
        gaps = generator.exponential(1 / rate, int(expected + 4 * expected**0.5) + 16)
        times = np.append(times, np.cumsum(gaps) + (times[-1] if times.size else 0.0))
    return times[times < duration]
