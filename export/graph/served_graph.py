"""What is exported: the network between what a client has and the answer it wants.

image (B, H, W, C) uint8      -> (image / 255 - mean) / std ->
frames (B, T, H, W, C) uint8  -> likewise                   -> network -> what the kind of answer appends
tokens (B, words) int64       -> as they are                ->

A network with state also takes `start` and each state tensor, and gives each as `next_<name>`:

state = initial_state(image) where start is 1, else the given one, brought to the same size
answer, *next = network.step(image, *state)

`Normalize` and `Served` stand around a model that others exported as well.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from regard.contract.answers.kind import AnswerKind
from regard.contract.card import Card
from regard.contract.pixels_input import PixelsInput
from regard.errors import ExportError
from regard.export.graph.signature import outputs_of
from regard.export.noise import noise_of
from regard.models.explain import Explain
from regard.models.explain.explainers import EXPLAINERS
from regard.models.padding import meant, taken

CHANNELS_FIRST = {"image": (0, 3, 1, 2), "frames": (0, 1, 4, 2, 3)}


class Normalize(nn.Module):
    """(pixels / 255 - mean) / std, in one multiplication and one addition.

    Shape: uint8 (B, H, W, C) -> float32 (B, C, H, W), or of frames (B, T, H, W, C) -> (B, T, C, H, W); C is 3
    or 1.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, contract: PixelsInput) -> None:
        super().__init__()
        mean = torch.tensor(contract.mean, dtype=torch.float64).view(-1, 1, 1)
        std = torch.tensor(contract.std, dtype=torch.float64).view(-1, 1, 1)
        self.order = CHANNELS_FIRST[contract.kind]
        self.register_buffer("scale", (1 / (255 * std)).float())
        self.register_buffer("shift", (-mean / std).float())

    def forward(self, image: Tensor) -> Tensor:
        # cast first: TensorRT moves no uint8 about
        return image.float().permute(self.order) * self.scale + self.shift


class Served(nn.Module):
    """What is served of what the network returns, by the Card's kind of answer: its tensors in order.

    Shape: as of its `scores_shape` and `tensors`.
    """

    def __init__(self, answer: AnswerKind) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, returned: Any) -> tuple[Tensor, ...]:
        return tuple(self.answer.outputs(returned).values())


class ServedGraph(nn.Module):
    """The network of a Card with its input and output contracts inside.

    Shape: the Card's inputs in order, then `start` (B, 1) and the state where it has one -> a tuple of the
    answer's tensors, the next state and, with `explain`, each map of the explanation in its order.

    Args:
        network: in evaluation mode.
        card: what goes in and out.
        explain: the explanation to add, a name of EXPLAINERS; none of a network with state.
    """

    def __init__(self, network: nn.Module, card: Card, *, explain: Explain | None = None) -> None:
        super().__init__()
        self.normalize = nn.Identity() if card.pixels is None else Normalize(card.pixels)
        self.network = network
        self.card = card
        self.answer = Served(card.answer)
        self.explainer = EXPLAINERS[explain]
        self.train(network.training)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        inputs, carried = inputs[: len(self.card.inputs)], inputs[len(self.card.inputs) :]
        tensors = [
            self.normalize(each) if isinstance(contract, PixelsInput) else each
            for each, contract in zip(inputs, self.card.inputs, strict=True)
        ]
        ready = taken(tensors, self.card)
        if carried:
            returned, *more = self._step(ready, *carried)
        else:
            returned, maps = self.explainer(self.network, *ready)
            more = [*maps.values()]
        return *self.answer(meant(returned, tensors, self.card)), *more

    def _step(self, ready: list[Tensor], start: Tensor, *state: Tensor) -> tuple[Any, ...]:
        network: Any = self.network
        initial = network.initial_state(*ready)
        begins = start > 0
        before = [
            torch.where(begins.view(-1, *(1,) * (first.ndim - 1)), first, at_size_of(first, given))
            for first, given in zip(initial, state, strict=True)
        ]
        stepped: tuple[Any, ...] = network.step(*ready, *before)
        return stepped


def at_size_of(first: Tensor, given: Tensor) -> Tensor:
    """A state in the size of another, (B, ...) by the nearest places; of the same size it stays as it is."""
    for axis in range(1, first.ndim):
        wanted, found = first.shape[axis], given.shape[axis]
        # traced sizes are no int
        if not (isinstance(wanted, int) and isinstance(found, int) and wanted == found):
            places = torch.arange(wanted, device=given.device) * found // wanted
            given = given.index_select(axis, places)
    return given


def output_names(network: nn.Module, card: Card, *, explain: Explain | None) -> list[str]:
    """Names of the served graph's outputs, in order; with `explain` the network runs once, on noise.

    Raises:
        ExportError: the network cannot be explained that way, with the reason.
    """
    names = [*outputs_of(card)]
    if explain is None:
        return names
    if card.state is not None:
        raise ExportError(f"{card.name} carries a state, and cannot be explained; leave the explanation out")
    with torch.inference_mode():
        try:
            _, maps = EXPLAINERS[explain](network, *taken(noise_of(card), card))
        except ExportError as error:
            raise ExportError(f"{card.name} cannot be explained by {explain}: {error}") from None
    return [*names, *maps]


def with_state(network: nn.Module, card: Card, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Inputs as they enter the network, with `start` and a state of their size behind them, for tracing."""
    stepping: Any = network
    with torch.inference_mode():
        state = stepping.initial_state(*taken(inputs, card))
    return [torch.ones(len(inputs[0]), 1), *(each.clone() for each in state)]
