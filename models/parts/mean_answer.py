"""The mean answer of several classifiers, or of one that looked several times."""

import math

from torch import Tensor


def log_mean_softmax(logits: Tensor) -> Tensor:
    """Logarithm of the mean of several answers' probabilities, itself logits of that mean: (B, T, K) ->
    (B, K).
    """
    return logits.log_softmax(dim=2).logsumexp(dim=1) - math.log(logits.shape[1])
