"""How far a served answer may lie from that of the graph's own file at its export.

The same graph in the same runtime rounds otherwise on another processor: in float32 in the last digits. In
another precision each rounding is coarser. Where the processor has no bf16 a variant in it answers as float32
does, which on goldens was 0.01 of a probability and 1.5 % of the pixels away; two releases of OpenVINO were
0.02 and 2.3 % apart. Another preprocessing moves some golden by much more: see docs/decisions/0044.
"""

from regard.contract.answers.kind import AnswerKind, Array

TIGHT_ERROR = 1e-5  # of probabilities
TIGHT_FRACTION, FEW_PIXELS = 1e-4, 3  # of a label map may differ: the larger of the two
ROUNDED_ERROR, ROUNDED_FRACTION = 0.05, 0.05  # likewise, of a variant in another precision


def largest_error(kind: AnswerKind, answer: Array, *, rounded: bool) -> float:
    """Of an answer to one image: the largest absolute difference of probabilities, or the fraction of a label
    map's pixels, that passes.

    rounded: whether the graph computes in another precision than float32.
    """
    if kind.dtype == "float32":
        return ROUNDED_ERROR if rounded else TIGHT_ERROR
    return max(ROUNDED_FRACTION if rounded else TIGHT_FRACTION, FEW_PIXELS / answer.size)
