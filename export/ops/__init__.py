"""Operators of regard's own, and yours: one folder each, with the definition in `operator.py` and kernels."""

from regard.export.ops.criss_cross.operator import CRISS_CROSS
from regard.export.ops.local_attention.operator import LOCAL_ATTENTION
from regard.export.ops.local_weights.operator import LOCAL_WEIGHTS
from regard.export.ops.operator import Operator
from regard.export.ops.warp.operator import WARP

OPERATORS = (LOCAL_ATTENTION, LOCAL_WEIGHTS, CRISS_CROSS, WARP)

__all__ = ["CRISS_CROSS", "LOCAL_ATTENTION", "LOCAL_WEIGHTS", "OPERATORS", "WARP", "Operator"]
