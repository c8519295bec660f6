"""A served graph with state: what a sequence's step leaves behind is what the next one is given.

NVIDIA's C++ backends have Triton's core keep the states that `sequence_batching` names. Of a Python backend
the core keeps none, and gives it the initial values at every step; so each instance, which the core sends all
steps of a sequence to, keeps them here, by the sequence's id.

It is copied into each backend's folder, and runs inside the server's Python stub.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it

if TYPE_CHECKING:
    from regard.serving.triton.backends.regard_session import Array, CannotRun, Graph, GraphSession
    from regard.serving.triton.backends.request_checks import Refused, check_request, failed, not_finite
else:  # inside the server they lie beside this file
    from regard_session import CannotRun, GraphSession
    from request_checks import Refused, check_request, failed, not_finite

MICROSECONDS = 1_000_000  # in a second
IDLE = 1.0  # seconds, Triton's own where a configuration does not say
OVERDUE = 2  # idle times, after which Triton, which counts from a step's arrival, has long forgotten it
START, END = 1, 2  # bits of a request's flags


def session_of(config: Mapping[str, Any], graph: "Graph") -> "GraphSession":
    """A session of the kind that a configuration asks for."""
    return (StatefulSession if "sequence_batching" in config else GraphSession)(config, graph)


class Step(NamedTuple):
    """What a sequence's last step left.

    size: of what it was given: the shape of each input that is not a state.
    at: when, by the clock.
    """

    states: "Mapping[str, Array]"
    size: Mapping[str, tuple[int, ...]]
    at: float


class Memory:
    """The last steps of the sequences that run, by their ids.

    Args:
        idle: seconds between two steps after which Triton forgets a sequence.
        most: sequences that Triton lets run; of more the one that rested longest is forgotten.
    """

    def __init__(self, idle: float, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.idle, self.most, self.clock = idle, most, clock
        self._steps: dict[int | str, Step] = {}  # the one that rested longest first

    def __len__(self) -> int:
        return len(self._steps)

    def of(self, sequence: int | str) -> Step | None:
        """The last step, if any."""
        self._age()
        return self._steps.get(sequence)

    def keep(
        self, sequence: int | str, states: "Mapping[str, Array]", size: Mapping[str, tuple[int, ...]]
    ) -> None:
        """Remember a step."""
        self.forget(sequence)
        self._steps[sequence] = Step(states, size, self.clock())
        if len(self._steps) > self.most:
            del self._steps[next(iter(self._steps))]

    def forget(self, sequence: int | str) -> None:
        """A sequence has ended, or begins again."""
        self._steps.pop(sequence, None)

    def _age(self) -> None:
        now = self.clock()
        for sequence, step in [*self._steps.items()]:
            if now - step.at <= OVERDUE * self.idle:
                return
            del self._steps[sequence]


class StatefulSession(GraphSession):
    """An opened graph that answers the steps of sequences, each by itself.

    A step that fails leaves the state as it was; the first step of a sequence is the one that says START.
    """

    def __init__(self, config: Mapping[str, Any], graph: "Graph") -> None:
        super().__init__(config, graph)
        batching = config["sequence_batching"]
        idle = int(batching.get("max_sequence_idle_microseconds", 0)) / MICROSECONDS or IDLE
        most = int(batching.get("oldest", {}).get("max_candidate_sequences", 0))
        self.states = {entry["input_name"]: entry for entry in batching.get("state", ())}
        self.controls = [entry["name"] for entry in batching.get("control_input", ())]
        self.memory = Memory(idle, most or int(config["max_batch_size"]) or 1)

    def declared(self, kind: str) -> "list[Mapping[str, Any]]":
        """Those of the configuration, its states included; controls are inputs that only the graph has."""
        side = f"{kind}_name"
        states = [{**entry, "name": entry[side]} for entry in self.states.values()]
        controls = [
            {"name": name, "data_type": self.graph.inputs[name].data_type, "dims": [1]}
            for name in self.controls
            if kind == "input" and name in self.graph.inputs
        ]
        return [*super().declared(kind), *states, *controls]

    def warm_up(self, inputs: "Mapping[str, Array]") -> None:
        """As the first step of a sequence whose states are zeros."""
        zeros = {
            name: np.zeros([1, *(max(1, int(dim)) for dim in entry["dims"])], np.float32)
            for name, entry in self.states.items()
        }
        super().warm_up({**inputs, **zeros, **{name: np.ones((1, 1), np.float32) for name in self.controls}})

    def answer(self, requests: Sequence[Any], inputs_of: "Callable[[Any], Mapping[str, Array]]") -> list[Any]:
        """Answer steps, in their order: two of one sequence may be among them."""
        return [self._step(request, inputs_of) for request in requests]

    def _step(self, request: Any, inputs_of: "Callable[[Any], Mapping[str, Array]]") -> Any:
        sequence, flags = request.correlation_id(), request.flags()
        if flags & START:
            self.memory.forget(sequence)
        try:
            check_request(request, self.config)
            given = self.checked(inputs_of(request))
            size = {name: array.shape[1:] for name, array in given.items()}
            feed = {**given, **self._hidden(request), **self._kept(sequence, flags, size)}
        except Refused as refused:
            return self._over(sequence, flags, failed(str(refused), refused.code))
        wanted = [*self.output_names, *(entry["output_name"] for entry in self.states.values())]
        try:
            results = dict(zip(wanted, self.graph.run(wanted, feed), strict=True))
        except CannotRun as error:
            return self._over(sequence, flags, failed(str(error), pb_utils.TritonError.INTERNAL))
        broken = not_finite(results, wanted) if self.has_card else None
        if broken is not None:
            message = f"output '{broken}' holds NaN or infinity; the sequence is as it was before this step"
            return self._over(sequence, flags, failed(message, pb_utils.TritonError.INTERNAL))
        states = {name: results[entry["output_name"]] for name, entry in self.states.items()}
        self.memory.keep(sequence, states, size)
        names = request.requested_output_names()
        return self._over(sequence, flags, self.response(results, names))

    def _over(self, sequence: int | str, flags: int, response: Any) -> Any:
        """The response; a sequence is over with its last step, however that went."""
        if flags & END:
            self.memory.forget(sequence)
        return response

    def _hidden(self, request: Any) -> "dict[str, Array]":
        """What the core adds to a request: controls, and the states' initial values."""
        added = {*self.states, *self.controls}
        return {tensor.name(): tensor.as_numpy() for tensor in request.inputs() if tensor.name() in added}

    def _kept(
        self, sequence: int | str, flags: int, size: Mapping[str, tuple[int, ...]]
    ) -> "Mapping[str, Array]":
        """The states that the last step of a sequence left; none for its first."""
        if flags & START:
            return {}
        last = self.memory.of(sequence)
        if last is None:
            raise Refused(
                f"sequence {sequence} has no state here: its first step failed, or its last was more than "
                f"{self.memory.idle:g} s ago; start it again"
            )
        for name, shape in size.items():
            if shape != last.size[name]:
                raise Refused(
                    f"input '{name}' of sequence {sequence} has shape {list(shape)}, and its steps before "
                    f"had {list(last.size[name])}: all steps of a sequence share a size; start another "
                    "sequence for this one"
                )
        return last.states
