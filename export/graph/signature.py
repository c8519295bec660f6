"""What a served graph takes and gives by its Card: names, types, and dimensions, those that vary by name."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from regard.contract.card import Card
from regard.contract.inputs import FramesInput, Input, TokensInput
from regard.contract.names import START
from regard.contract.pixels_input import PixelsInput

BATCH, HEIGHT, WIDTH = "batch", "height", "width"


@dataclass(frozen=True)
class Value:
    """An input or output of a graph: its type, and its dimensions; -1 for one that nothing is asked of."""

    dtype: np.dtype[Any]
    dims: tuple[int | str, ...]


def inputs_of(card: Card) -> dict[str, Value]:
    """What the graph takes, in order."""
    values = {each.tensor: Value(each.dtype, (BATCH, *_dims(each))) for each in card.inputs}
    return values | ({START: Value(np.dtype(np.float32), (BATCH, 1))} | _state(card) if card.state else {})


def outputs_of(card: Card) -> dict[str, Value]:
    """What the graph gives, in order, without the maps of an explanation."""
    dynamic = card.pixels is not None and card.pixels.dynamic_size
    sides: Any = (HEIGHT, WIDTH) if dynamic else card.size
    values = {
        name: Value(dtype, (BATCH, *dims)) for name, (dtype, dims) in card.answer.tensors(*sides).items()
    }
    if card.state is None:
        return values
    return values | {each.next: _state(card)[each.name] for each in card.state.tensors}


def dynamic_axes(value: Value) -> dict[int, str]:
    """The axes that vary, and their names."""
    return {axis: dim for axis, dim in enumerate(value.dims) if isinstance(dim, str)}


def image_dims(contract: PixelsInput, *, rows: int = 1) -> dict[int, str]:
    """The dynamic axes of an image batch, and their names; `rows` is the axis of the height."""
    return {0: BATCH, rows: HEIGHT, rows + 1: WIDTH} if contract.dynamic_size else {0: BATCH}


def _dims(contract: Input) -> tuple[int | str, ...]:
    if isinstance(contract, TokensInput):
        limits = {"sentences": contract.sentences, "words": contract.longest}
        return tuple(
            f"{contract.tensor}_{what}" if limit > 1 else 1
            for what, limit in limits.items()
            if limit is not None
        )
    sides: tuple[int | str, ...] = (HEIGHT, WIDTH) if contract.dynamic_size else contract.size
    frames = (contract.frames,) if isinstance(contract, FramesInput) else ()
    return *frames, *sides, contract.channels


def _state(card: Card) -> dict[str, Value]:
    assert card.state is not None
    return {
        each.name: Value(
            np.dtype(np.float32),
            (BATCH, *(f"{each.name}_{axis}" if dim == -1 else dim for axis, dim in enumerate(each.dims, 1))),
        )
        for each in card.state.tensors
    }
