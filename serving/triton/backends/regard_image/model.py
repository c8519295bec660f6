"""The backend of a model's endpoint for what people have: whole JPEG, PNG or WebP files and texts in, the
model's answers out, words among them. JSON cannot hold a file's bytes; there a file is a data URI (RFC 2397),
"data:image/jpeg;base64,...".

On a CPU one process decodes, fits, numbers words and runs the graph in a session of its own, in the runtime
that the parameter `runtime` names. Where the instance is on a GPU, or where the parameter `compute` is
"model", it leaves the last to the model that the parameter `model` names, so that images of many requests are
still computed together.

It runs inside the server's Python stub. Beside it lie stages.py, raw_inputs.py, spoken_graph.py,
regard_session.py and what opens graphs; beside the graph lies the Card.
"""

import asyncio
import importlib
import json
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it

if TYPE_CHECKING:
    from regard.serving.triton.backends.raw_inputs import RawInputs, card_of_version
    from regard.serving.triton.backends.regard_image.stages import Stages
    from regard.serving.triton.backends.regard_session import Graph
    from regard.serving.triton.backends.request_checks import Refused, check_request, failed
    from regard.serving.triton.backends.session_state import session_of
    from regard.serving.triton.backends.spoken_graph import SEQUENCE, TEXT, Speech, SpokenGraph
else:  # inside the server they lie beside this file
    from raw_inputs import RawInputs, card_of_version
    from request_checks import Refused, check_request, failed
    from session_state import session_of
    from spoken_graph import SEQUENCE, TEXT, Speech, SpokenGraph
    from stages import Stages

GRAPHS = {"onnxruntime": "OnnxRuntimeGraph", "openvino": "OpenVinoGraph"}  # the file of each is <name>_graph


class TritonPythonModel:
    """One instance: what comes to tensors, and those to a session or to the model's other endpoint."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Make ready, down to a first answer, so that no request pays for it."""
        config = json.loads(args["model_config"])
        self.stages = Stages(model=args["model_name"], version=args["model_version"])
        raw = RawInputs(self.stages.add)
        answer = card_of_version()["answer"]
        speech = Speech(answer) if answer["kind"] == SEQUENCE else None
        compute = parameter(config, "compute", ("process", "model"))
        calls = compute == "model" or args["model_instance_kind"] == "GPU"
        self.way: Call | Compute = (Call if calls else Compute)(args, config, raw, speech)

    def execute(self, requests: Sequence[Any]) -> list[Any] | Coroutine[Any, Any, list[Any]]:
        """Answer each request on its own: a bad image fails no other request."""
        if isinstance(self.way, Compute):
            with self.stages.counted(requests):
                return self.way.answer(requests)
        return self._called(self.way, requests)

    async def _called(self, way: "Call", requests: Sequence[Any]) -> list[Any]:
        with self.stages.counted(requests):
            return await way.answer(requests)

    def finalize(self) -> None:
        """The instance is unloaded."""
        self.stages.close()


class Compute:
    """A session in this process."""

    def __init__(
        self, args: Mapping[str, str], config: Mapping[str, Any], raw: RawInputs, speech: Speech | None
    ) -> None:
        self.raw = raw
        graph = open_graph(args, config)
        self.session = session_of(config, graph if speech is None else SpokenGraph(graph, speech))
        self.session.check("output")
        self.session.warm_up(raw.example())

    def answer(self, requests: Sequence[Any]) -> list[Any]:
        """The answers in the requests' order."""
        return self.session.answer(requests, self.raw.of)


class Call:
    """The model's endpoint for tensors, called inside the server.

    Where the server keeps one version at a time, the latest is called, since this one's own may be about to
    go; where the version policy keeps several, the same version. A step of a sequence stays one: the state is
    there.
    """

    def __init__(
        self, args: Mapping[str, str], config: Mapping[str, Any], raw: RawInputs, speech: Speech | None
    ) -> None:
        self.raw, self.speech, self.config = raw, speech, config
        self.model = config.get("parameters", {}).get("model", {}).get("string_value")
        if not self.model:
            raise pb_utils.TritonModelException(
                "parameter model must name the model that computes, and there is none"
            )
        latest = config.get("version_policy", {"latest": {}}).get("latest")
        alone = latest is not None and int(latest.get("num_versions", 1)) <= 1
        self.version = -1 if alone else int(args["model_version"])
        raw.example()

    async def answer(self, requests: Sequence[Any]) -> list[Any]:
        """The answers in the requests' order; while one is computed, the next is decoded."""
        return await asyncio.gather(*(self.respond(request) for request in requests))

    async def respond(self, request: Any) -> Any:
        """The answer to one request, or why there is none."""
        try:
            check_request(request, self.config)
            inputs = self.raw.of(request)
        except Refused as refused:
            return failed(str(refused), refused.code)
        names = list(request.requested_output_names())
        response = await pb_utils.InferenceRequest(
            model_name=self.model,
            model_version=self.version,
            correlation_id=request.correlation_id(),
            flags=request.flags(),
            requested_output_names=[*dict.fromkeys(SEQUENCE if name == TEXT else name for name in names)],
            inputs=[pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in inputs.items()],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
        ).async_exec()
        if response.has_error():
            error = response.error()
            return failed(error.message(), error.code())
        outputs = {tensor.name(): tensor for tensor in response.output_tensors()}
        if self.speech is not None and TEXT in names:
            outputs[TEXT] = pb_utils.Tensor(TEXT, self.speech.texts(outputs[SEQUENCE].as_numpy()))
        return pb_utils.InferenceResponse([outputs[name] for name in names])


def open_graph(args: Mapping[str, str], config: Mapping[str, Any]) -> "Graph":
    """The version's graph, in the runtime that the configuration names; the other is not imported."""
    runtime = parameter(config, "runtime", [*GRAPHS])
    graph: Graph = getattr(importlib.import_module(f"{runtime}_graph"), GRAPHS[runtime])(args, config)
    return graph


def parameter(config: Mapping[str, Any], key: str, values: Sequence[str]) -> str:
    """A parameter of the configuration that is one of some values, by default the first."""
    value: str = config.get("parameters", {}).get(key, {}).get("string_value", values[0])
    if value not in values:
        raise pb_utils.TritonModelException(
            f"parameter {key} must be {' or '.join(map(repr, values))}, got {value!r}"
        )
    return value
