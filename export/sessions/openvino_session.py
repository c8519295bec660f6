"""A graph in OpenVINO, on the CPU."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from regard.contract.openvino_settings import FLOAT32_REFUSED, HINTS, settings
from regard.errors import ExportError
from regard.export.proof.runner import Arrays, CannotRun


class OpenVinoSession:
    """See `regard.export.sessions.session.Session`.

    Args:
        model: the ONNX file.
        precision: "bf16" or "int8"; float32 is always ONNX Runtime's, since NVIDIA's `openvino` backend
            cannot be told to keep it.
        threads: that compute one call.

    Attributes:
        bf16: whether this processor computes in bf16 where it may.

    Raises:
        ExportError: OpenVINO does not take it.
    """

    def __init__(self, model: Path, *, precision: str, threads: int) -> None:
        if precision not in HINTS:
            raise ExportError(f"OpenVINO runs {' and '.join(HINTS)} here, not {precision}: {FLOAT32_REFUSED}")
        try:
            compiled = openvino.Core().compile_model(str(model), "CPU", settings(precision, threads))
        except RuntimeError as error:
            raise ExportError(f"OpenVINO does not take {model}: {error}") from None
        self.name = name_of(precision)
        self.bf16 = compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16
        self.outputs = tuple(output.get_any_name() for output in compiled.outputs)
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()  # one request runs at a time

    def run(self, outputs: Sequence[str], inputs: Arrays) -> list[npt.NDArray[Any]]:
        """See `Session`."""
        with self._lock:
            try:
                # as tensors: arrays would not be held against the graph's shape
                self._request.infer({name: openvino.Tensor(array) for name, array in inputs.items()})
                # copies: the next call writes over its tensors
                return [np.array(self._request.get_tensor(name).data) for name in outputs]
            except RuntimeError as error:
                raise CannotRun(f"OpenVINO: {str(error).strip()}") from None


def name_of(precision: str) -> str:
    """What runs a graph in this precision, for the record."""
    return f"OpenVINO {openvino.__version__.split('-')[0]} on the CPU, {precision}"
