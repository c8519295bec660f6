"""Signed or unsigned activations, as what runs the graph wants them.

TensorRT takes signed ones without a zero point alone. OpenVINO 2026.4 takes both, but convolutions of more
than one pixel come out wrong of signed ones on x86 (by a fifth of the mean activation, where ONNX Runtime is
off by a 400th); the same numbers shifted by 128 come out right.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, numpy_helper

from regard.errors import ExportError

UNSIGNED, SIGNED = 255, 127  # the largest value of each
SHIFT = 128

Numbers = npt.NDArray[Any]


def signed(model: ModelProto) -> None:
    """Make uint8 activations int8: what was [0, 255 scale] is [-127 scale', 127 scale'] with scale' = scale
    255 / 127, so that nothing is clipped that was not, and steps are twice as large.

    Raises:
        ExportError: a quantizer has a zero point.
    """

    def rewritten(scale: Numbers, zero_point: Numbers) -> tuple[Numbers, Numbers]:
        if zero_point.any():
            raise ExportError("a quantizer has a zero point, which TensorRT does not take")
        if zero_point.dtype == np.int8:
            return scale, zero_point
        return scale * np.float32(UNSIGNED / SIGNED), zero_point.astype(np.int8)

    _rewrite(model, rewritten)


def unsigned(model: ModelProto) -> None:
    """Make int8 activations uint8: the same numbers with a zero point that is larger by 128."""

    def rewritten(scale: Numbers, zero_point: Numbers) -> tuple[Numbers, Numbers]:
        if zero_point.dtype == np.uint8:
            return scale, zero_point
        return scale, (zero_point.astype(np.int16) + SHIFT).astype(np.uint8)

    _rewrite(model, rewritten)


def _rewrite(model: ModelProto, rewritten: Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]) -> None:
    """Replace scale and zero point of each quantizer of activations; weights have no quantizer any more."""
    constants = {each.name: each for each in model.graph.initializer}
    pairs = {(node.input[1], node.input[2]) for node in model.graph.node if node.op_type == "QuantizeLinear"}
    for pair in sorted(pairs):
        for name, values in zip(
            pair, rewritten(*(numpy_helper.to_array(constants[name]) for name in pair)), strict=True
        ):
            constants[name].CopyFrom(numpy_helper.from_array(np.asarray(values), name))
