"""What sessions of a model in this process have left behind, and what their next steps are given."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from regard.contract.names import START
from regard.contract.state import State
from regard.serving.protocol.wire import Array, Fault, Outputs, Request


class Left(NamedTuple):
    """By one session's last step.

    shape: of its image.
    at: when, by the clock.
    """

    states: Outputs
    shape: tuple[int, ...]
    at: float


class States:
    """Of every session of one model, by its number; faults in a server's words.

    Args:
        state: what the model carries on.
    """

    def __init__(self, state: State, clock: Callable[[], float] = time.monotonic) -> None:
        self._state, self._clock = state, clock
        self._left: dict[int | str, Left] = {}

    def given(self, request: Request, image: Array) -> Outputs:
        """What a step takes beside its image; raises Fault where it belongs to no session."""
        number, start = request.parameters.get("sequence_id", 0), request.parameters.get("sequence_start")
        if not number:
            raise _refused(f"inference request to model '{request.model}' must specify a correlation ID")
        self._forget_idle()
        if start:
            self._left.pop(number, None)
            zeros = {
                tensor.name: np.zeros((1, *tensor.initial_dims), np.float32) for tensor in self._state.tensors
            }
            return {START: np.ones((1, 1), np.float32), **zeros}
        left = self._left.get(number)
        if left is None:
            raise _refused(
                f"inference request for sequence {number} to model '{request.model}' must specify the START "
                "flag on the first request of the sequence"
            )
        if left.shape != image.shape:
            raise _refused(
                f"the image of sequence {number} has shape {image.shape}, and its steps before had "
                f"{left.shape}; send it in a sequence of its own"
            )
        return {START: np.zeros((1, 1), np.float32), **left.states}

    def keep(self, request: Request, image: Array, outputs: Mapping[str, Array]) -> None:
        """Remember what a step left, unless it was its session's last."""
        number = request.parameters["sequence_id"]
        if request.parameters.get("sequence_end"):
            self._left.pop(number, None)
        else:
            states = {tensor.name: outputs[tensor.next] for tensor in self._state.tensors}
            self._left[number] = Left(states, image.shape, self._clock())

    def _forget_idle(self) -> None:
        oldest = self._clock() - self._state.idle_seconds
        for number in [number for number, left in self._left.copy().items() if left.at < oldest]:
            self._left.pop(number, None)


def _refused(message: str) -> Fault:
    return Fault("INVALID_ARGUMENT", message)
