"""Triton's `onnxruntime` backend over pip's ONNX Runtime, so that one model repository runs here and in
NVIDIA's container.

Like the C++ backend it reads default_model_filename, cc_model_filenames and the thread counts among the
parameters, refuses at load a configuration that the graph contradicts, runs all requests of a batch at once,
and reports a failed run as INTERNAL, "onnx runtime error N: ...".
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it

if TYPE_CHECKING:
    from regard.serving.triton.backends.regard_session import Array, GraphSession, Refused
else:  # inside the server it lies beside this file
    from regard_session import GraphSession, Refused


class TritonPythonModel:
    """One instance of one model: an ONNX Runtime session."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the session of the version being loaded and hold the configuration against its graph."""
        self.config = json.loads(args["model_config"])
        self.session = GraphSession(args, self.config)
        self.session.check("input")
        self.session.check("output")
        self.input_names = [entry["name"] for entry in self.config["input"]]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests of one batch, in their order."""
        return self.session.answer(requests, self.inputs_of)

    def inputs_of(self, request: Any) -> "dict[str, Array]":
        """The request's tensors; the server's own checks let through a request that lacks one."""
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        if set(self.input_names) - set(inputs):
            raise Refused(
                f"expected inputs {self.input_names} for model '{self.config['name']}', got {sorted(inputs)}",
                pb_utils.TritonError.INVALID_ARG,
            )
        return inputs
