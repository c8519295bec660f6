"""Average precision of one label: the area below precision against recall, as a sum of steps.

AP = sum_n (R_n - R_{n-1}) P_n over the distinct probabilities as thresholds, from the highest down.
"""

import numpy as np
import numpy.typing as npt


def average_precision(probabilities: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> float:
    """Of N images: probabilities (N,), and to which the label applies (N,); NaN where to none."""
    if not truth.any():
        return float("nan")
    order = np.argsort(-probabilities, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.diff(probabilities[order]) != 0, True)  # of the images that share a probability
    precision = hits[last] / (np.flatnonzero(last) + 1)
    recall = hits[last] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())
