"""How many bytes of tensors the models of a repository pass on at the same time."""

from math import prod
from pathlib import Path

from regard.contract.inputs import FramesInput, Input, TokensInput
from regard.contract.names import CARD_FILE, CONFIG_FILE
from regard.contract.reading import card_from_file
from regard.errors import RegardError
from regard.serving.repository.config import read_config
from regard.serving.repository.layout import model_folders

FLOAT = 4  # bytes


def tensor_bytes(repository: Path) -> int:
    """The largest batch of each instance, images of the Card's size and the answers to them; 0 for models
    without a Card, and for those that are refused later.
    """
    return sum(map(_of_endpoint, model_folders(repository)))


def _of_endpoint(folder: Path) -> int:
    try:
        card, config = card_from_file(folder / CARD_FILE), read_config(folder / CONFIG_FILE)
    except RegardError:
        return 0
    height, width = (1, 1) if card.pixels is None else (card.pixels.height, card.pixels.width)
    answer = card.answer.tensors(height, width).values()
    each = sum(prod(map(abs, dims)) * dtype.itemsize for dtype, dims in answer)
    each += sum(_of_input(taken) for taken in card.inputs)
    if card.state is not None:  # what follows the image's size is taken to be as large
        side = max(height, width)
        dims = [[side if dim < 0 else dim for dim in state.dims] for state in card.state.tensors]
        each += 2 * FLOAT * sum(map(prod, dims))
    instances = sum(int(group.count) for group in config.instance_group)
    return instances * card.max_batch * each


def _of_input(taken: Input) -> int:
    if isinstance(taken, TokensInput):
        return (taken.sentences or 1) * taken.longest * taken.dtype.itemsize
    frames = taken.frames if isinstance(taken, FramesInput) else 1
    return frames * taken.height * taken.width * taken.channels
