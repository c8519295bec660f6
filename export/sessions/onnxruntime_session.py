"""A graph in ONNX Runtime, on the CPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.export.proof.runner import Arrays, CannotRun
from regard.export.session import NAME, open_session


class OnnxRuntimeSession:
    """See `regard.export.sessions.session.Session`, and `open_session` for the arguments."""

    def __init__(self, model: str, *, threads: int) -> None:
        self.name = NAME
        self._session = open_session(model, name=model, threads=threads)
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, outputs: Sequence[str], inputs: Arrays) -> list[npt.NDArray[Any]]:
        """See `Session`."""
        try:
            return [np.asarray(value) for value in self._session.run([*outputs], dict(inputs))]
        except Exception as error:  # ONNX Runtime's errors have no narrower base
            raise CannotRun(f"onnx runtime error: {str(error).strip()}") from None
