"""A graph in ONNX Runtime, on the CPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.contract.operators import operators_beside
from regard.contract.variant import Precision
from regard.export.artifact import Artifact, read_graph
from regard.export.proof.runner import Arrays, CannotRun
from regard.export.session import NAME, open_session


def name_of(precision: Precision) -> str:
    """What runs a graph in this precision, for the record."""
    return f"{NAME}, rounded to fp16, accuracy only" if precision == "fp16" else NAME


class OnnxRuntimeSession:
    """See `regard.export.sessions.session.Session`.

    Args:
        artifact: a graph in any precision but bf16; a library of operators beside it is taken as well. One in
            fp16 is run as `rounded` writes it out.
        threads: that compute one call.

    Raises:
        ExportError: ONNX Runtime does not take it.
    """

    def __init__(self, artifact: Artifact, *, threads: int) -> None:
        self.name = name_of(artifact.precision)
        model: bytes | str = str(artifact.model)
        if artifact.precision == "fp16":
            from regard.export.precision.rounded import rounded

            model = rounded(read_graph(artifact.model)).SerializeToString()
        self._session = open_session(
            model, name=str(artifact.model), threads=threads, operators=operators_beside(artifact.model)
        )
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, outputs: Sequence[str], inputs: Arrays) -> list[npt.NDArray[Any]]:
        """See `Session`."""
        try:
            return [np.asarray(value) for value in self._session.run([*outputs], dict(inputs))]
        except Exception as error:  # ONNX Runtime's errors have no narrower base
            raise CannotRun(f"onnx runtime error: {str(error).strip()}") from None
