"""How far a served answer may lie from that of the graph's own file at its export.

The same graph in the same runtime rounds otherwise on another processor: in float32 in the last digits. In
another precision each rounding is coarser. Where the processor has no bf16 a variant in it answers as float32
does, which on goldens was 0.01 of a probability and 1.5 % of the pixels away; two releases of OpenVINO were
0.02 and 2.3 % apart. One in fp16 was rounded at each node when it was proven, and a CPU rounds at few.
Another preprocessing moves some golden by much more: see docs/decisions/0044.
"""

from regard.contract.answers.kind import AnswerKind, Array
from regard.contract.names import SEQUENCE
from regard.contract.variant import Precision

TIGHT_ERROR = 1e-5  # of probabilities
TIGHT_FRACTION, FEW_PIXELS = 1e-4, 3  # of a label map may differ: the larger of the two
# likewise, of a variant in another precision
ROUNDED: dict[Precision, tuple[float, float]] = {
    "fp16": (0.02, 0.05),  # twice those of its proof: both answers may lie that far from float32's
    "bf16": (0.05, 0.05),
    "int8": (0.05, 0.05),
}


def largest_error(kind: AnswerKind, answer: Array, *, precision: Precision) -> float:
    """Of an answer to one image: the largest absolute difference of probabilities, or the fraction of a label
    map's pixels, that passes. Words are the same; in another precision one word may change all that follow.

    precision: that the graph computes in.
    """
    if kind.tensor == SEQUENCE:  # the fraction of sequences that differ: all of it or nothing
        return float(precision in ROUNDED)
    error, fraction = ROUNDED.get(precision, (TIGHT_ERROR, TIGHT_FRACTION))
    return error if kind.dtype == "float32" else max(fraction, FEW_PIXELS / answer.size)
