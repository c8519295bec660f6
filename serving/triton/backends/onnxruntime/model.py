"""Triton's `onnxruntime` backend over pip's ONNX Runtime, so that one model repository runs here and in
NVIDIA's container.

Like the C++ backend it reads default_model_filename, cc_model_filenames and the thread counts among the
parameters, refuses at load a configuration that the graph contradicts, runs all requests of a batch at once,
and reports a failed run as INTERNAL, "onnx runtime error N: ...".
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regard.serving.triton.backends.onnxruntime_graph import OnnxRuntimeGraph
    from regard.serving.triton.backends.session_state import session_of
else:  # inside the server they lie beside this file
    from onnxruntime_graph import OnnxRuntimeGraph
    from session_state import session_of


class TritonPythonModel:
    """One instance of one model: an ONNX Runtime session."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the session of the version being loaded and hold the configuration against its graph."""
        config = json.loads(args["model_config"])
        self.session = session_of(config, OnnxRuntimeGraph(args, config))
        self.session.check("input")
        self.session.check("output")

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests of one batch, in their order."""
        return self.session.answer_tensors(requests)
