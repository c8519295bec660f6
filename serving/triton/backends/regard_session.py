"""A served graph, as all of our backends run it: held against the configuration at load, all requests of a
batch at once, errors in the words of NVIDIA's C++ backends.

It is copied into each backend's folder, and runs inside the server's Python stub: it imports numpy only.
`onnxruntime_graph.py` and `openvino_graph.py`, beside it, open the graph.
"""

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it

if TYPE_CHECKING:
    from regard.serving.triton.backends.request_checks import (
        ArrayChecks,
        Refused,
        check_request,
        failed,
        not_finite,
    )
else:  # inside the server it lies beside this file
    from request_checks import ArrayChecks, Refused, check_request, failed, not_finite

Array = npt.NDArray[Any]


class CannotRun(Exception):
    """The runtime fails on what a graph is fed, in its own words."""


class Tensor(NamedTuple):
    """An input or output of a graph: Triton's name of its data type, and its shape, where -1 is any size."""

    data_type: str
    shape: Sequence[int]


class Graph(Protocol):
    """The graph of the model version that is being loaded, opened in a runtime; both kinds of tensors by
    name.
    """

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> Sequence[Array]:
        """The named outputs, each an array of its own. Raises CannotRun."""
        ...


class GraphSession:
    """An opened graph that answers requests.

    Args:
        config: the "model_config" that the server gives the instance, parsed.
        graph: of the version.
    """

    def __init__(self, config: Mapping[str, Any], graph: Graph) -> None:
        self.config = config
        self.graph = graph
        give_back_memory()
        self.output_names = [entry["name"] for entry in config["output"]]
        self.has_card = "card" in config.get("parameters", {})  # regard added it
        self.check_arrays = ArrayChecks(config)

    def declared(self, kind: str) -> list[Mapping[str, Any]]:
        """The configuration's inputs or outputs that the graph must have."""
        return list(self.config[kind])

    def check(self, kind: str) -> None:
        """Refuse a configuration whose inputs or outputs the graph contradicts."""
        tensors = self.graph.inputs if kind == "input" else self.graph.outputs
        faults = contradictions(self.declared(kind), kind, tensors, batches=self.config["max_batch_size"] > 0)
        if faults:
            raise pb_utils.TritonModelException(
                f"unable to load model '{self.config['name']}', {'; '.join(faults)}"
            )

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        """Run once, and refuse a graph that fails on it."""
        try:
            self.graph.run(self.output_names, inputs)
        except CannotRun as error:
            raise pb_utils.TritonModelException(str(error)) from None

    def answer_tensors(self, requests: Sequence[Any]) -> list[Any]:
        """As `answer`, of requests that hold the graph's own inputs."""
        return self.answer(requests, self._tensors_of)

    def _tensors_of(self, request: Any) -> dict[str, Array]:
        """The request's tensors; the server's own checks let through a request that lacks one."""
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        expected = [entry["name"] for entry in self.config["input"]]
        if set(expected) - set(inputs):
            raise Refused(
                f"expected inputs {expected} for model '{self.config['name']}', got {sorted(inputs)}"
            )
        return {name: inputs[name] for name in expected}

    def answer(self, requests: Sequence[Any], inputs_of: Callable[[Any], Mapping[str, Array]]) -> list[Any]:
        """Answer the requests of one batch, in their order; those of one shape run together.

        inputs_of: what of a request the session is fed; raises Refused.
        """
        responses: list[Any] = [None] * len(requests)
        alike: dict[tuple[Any, ...], list[tuple[int, Mapping[str, Array]]]] = {}
        for index, request in enumerate(requests):
            try:
                check_request(request, self.config)
                inputs = self.checked(inputs_of(request))
            except Refused as refused:
                responses[index] = failed(str(refused), refused.code)
                continue
            # a model without a batch dimension takes its requests one by one
            key = (
                tuple((name, array.shape[1:]) for name, array in sorted(inputs.items()))
                if self.config["max_batch_size"] > 0
                else (index,)
            )
            alike.setdefault(key, []).append((index, inputs))
        for members in alike.values():
            asked = [requests[index].requested_output_names() for index, _ in members]
            for (index, _), response in zip(
                members, self.run([inputs for _, inputs in members], asked), strict=True
            ):
                responses[index] = response
        return responses

    def checked(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """A request's inputs, once they have been checked. Raises Refused."""
        self.check_arrays(inputs)
        return inputs

    def run(self, batch: Sequence[Mapping[str, Array]], asked: Sequence[Sequence[str]]) -> Iterator[Any]:
        """Run requests whose arrays differ in their first dimension at most; yield a response for each."""
        wanted = [name for name in self.output_names if any(name in names for names in asked)]
        feed = dict(batch[0])
        if len(batch) > 1:
            feed = {name: np.concatenate([inputs[name] for inputs in batch]) for name in feed}
        try:
            results = dict(zip(wanted, self.graph.run(wanted, feed), strict=True))
        except CannotRun as error:
            for _ in batch:
                yield failed(str(error), pb_utils.TritonError.INTERNAL)
            return
        start = 0
        for inputs, names in zip(batch, asked, strict=True):
            if len(batch) == 1:
                mine = results
            else:
                stop = start + len(next(iter(inputs.values())))
                # views: rows of one array
                mine = {name: array[start:stop] for name, array in results.items()}
                start = stop
            broken = not_finite(mine, names) if self.has_card else None
            if broken is not None:
                yield failed(
                    f"output '{broken}' holds NaN or infinity, which is no answer of this model's Card",
                    pb_utils.TritonError.INTERNAL,
                )
                continue
            yield self.response(mine, names)

    def response(self, outputs: Mapping[str, Array], names: Sequence[str]) -> Any:
        """The outputs of these names, as a response."""
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, np.ascontiguousarray(outputs[name])) for name in names]
        )


def graph_file(config: Mapping[str, Any], name: str) -> Path:
    """The file of this name in the version's folder."""
    file = Path(pb_utils.get_model_dir()) / name
    if not file.is_file():
        raise pb_utils.TritonModelException(f"unable to find '{file}' for model '{config['name']}'")
    return file


def contradictions(
    declared: Sequence[Mapping[str, Any]], kind: str, tensors: Mapping[str, Tensor], *, batches: bool
) -> list[str]:
    """Where the configuration's inputs or outputs depart from the graph's: names, data types, shapes.

    batches: whether a batch is in front of the declared dimensions.
    """
    faults = []
    names = {entry["name"] for entry in declared}
    if kind == "input" and names != set(tensors):
        faults.append(f"configuration expects inputs {sorted(names)}, model provides {sorted(tensors)}")
    for entry in declared:
        name = entry["name"]
        if name not in tensors:
            faults.append(f"unexpected inference {kind} '{name}', allowed {kind}s are: {', '.join(tensors)}")
            continue
        data_type, provided = tensors[name]
        if data_type != entry["data_type"]:
            faults.append(
                f"{kind} '{name}': configuration says {entry['data_type']}, model provides {data_type}"
            )
        dims = entry["reshape"]["shape"] if "reshape" in entry else entry["dims"]
        shape = [-1] * batches + [int(dim) for dim in dims]
        # -1 in the graph takes any size; a size in the graph takes only itself
        if len(shape) != len(provided) or any(
            there not in (-1, here) for here, there in zip(shape, provided, strict=True)
        ):
            faults.append(
                f"{kind} '{name}': the model expects shape {[*provided]}, the configuration declares {shape}"
            )
    return faults


def give_back_memory() -> None:
    """Return to the system what only reading the graph took, often more than the session needs."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # the GNU C library's
    if trim is not None:
        trim(0)
