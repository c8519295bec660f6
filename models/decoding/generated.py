"""What a search returns, and the two words that it knows by number.

Those are the numbers that `regard.models.interface.numbered_words` gives them, and that a Card must: an
export of one that numbers them otherwise is refused.
"""

from typing import NamedTuple

from torch import Tensor

PADDING = 0  # fills what is behind the end; never generated, and what a network is fed before the first word
END = 2  # the last word of every answer that is not cut off


class Generated(NamedTuple):
    """Answers of up to `longest` words. Behind END everything is 0.

    Attributes:
        tokens: int64 (B, longest), END included.
        log_probabilities: float32 (B, longest), of each word given those before it.
        alignment: float32 (B, longest, S), how much each of the S places of the source counted for each word;
            None where a network writes without looking at places.
    """

    tokens: Tensor
    log_probabilities: Tensor
    alignment: Tensor | None = None
