"""Triton's `openvino` backend over pip's OpenVINO, so that one model repository runs here and in NVIDIA's
container.

Like the C++ backend it runs on the CPU alone, reads default_model_filename and the parameters that
`openvino_graph.py` lists, refuses at load a configuration that the graph contradicts, and reports a failed
run as INTERNAL, "openvino error in ...".
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regard.serving.triton.backends.openvino_graph import OpenVinoGraph, check_batching
    from regard.serving.triton.backends.session_state import session_of
else:  # inside the server they lie beside this file
    from openvino_graph import OpenVinoGraph, check_batching
    from session_state import session_of


class TritonPythonModel:
    """One instance of one model: a compiled graph."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Compile the graph of the version being loaded and hold the configuration against it."""
        config = json.loads(args["model_config"])
        check_batching(config)
        self.session = session_of(config, OpenVinoGraph(args, config))
        self.session.check("input")
        self.session.check("output")

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer requests, in their order."""
        return self.session.answer_tensors(requests)
