"""Questions, in order, to the requests that carry them.

A model has two endpoints, or one of them. Encoded files go to `<model>_image`, which decodes and fits them on
the server, with the texts beside them as they are. All else is made into tensors here, by the Card, and goes
to `<model>`: pixels and frames are fitted, texts are numbered; but to a model that is served for texts alone,
as `<model>_text`, they go as they are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from regard.contract.card import Card
from regard.contract.inputs import Input, TokensInput
from regard.contract.names import ENCODED_IMAGE, IMAGE_ENDPOINT, TEXT_ENDPOINT
from regard.contract.pixels_input import PixelsInput
from regard.contract.preprocess import Pixels
from regard.contract.tokenizer import padded
from regard.errors import InvalidInput
from regard.serving.client.images import as_file, decoded
from regard.serving.client.items import Clip, Encoded, Item, Part, Raw, Refused, Several, Words
from regard.serving.protocol.wire import Array

Size: TypeAlias = tuple[int, int]  # height and width; (0, 0) of what has no pixels
NO_PIXELS: Size = (0, 0)


def image_endpoint(model: str) -> str:
    """The name that takes image files; a model may be asked for by it, and is then served for these alone."""
    return _endpoint(model, IMAGE_ENDPOINT)


def text_endpoint(model: str) -> str:
    """The name that takes texts as they are, of a model without images; likewise."""
    return _endpoint(model, TEXT_ENDPOINT)


def raw_endpoint(model: str, card: Card) -> str:
    """The name that takes image files and texts as they are; likewise."""
    return text_endpoint(model) if card.pixels is None else image_endpoint(model)


def _endpoint(model: str, suffix: str) -> str:
    return model if model.endswith(suffix) else model + suffix


@dataclass(frozen=True)
class Batch:
    """Neighbouring questions that fit into one request, to the same endpoint and of the same size; or one
    that is refused.

    files: whether it goes to the endpoint for files and texts.
    size: of the pixels that the network takes.
    given: of each image, or of each clip's frames, before it was fitted.
    """

    card: Card
    files: bool
    items: tuple[Item, ...]
    size: Size
    given: tuple[Size, ...]

    @property
    def refused(self) -> InvalidInput | None:
        """Why it is not sent."""
        first = self.items[0]
        return first.error if isinstance(first, Refused) else None

    def singles(self) -> "list[Batch]":
        """Its questions, one request each."""
        return [
            Batch(self.card, self.files, (item,), self.size, (given,))
            for item, given in zip(self.items, self.given, strict=True)
        ]

    def raw(self) -> dict[str, Array]:
        """What goes to the endpoint for files and texts, by the names there: bytes (B, 1), or of clips (B,
        frames).
        """
        return {
            kind.tensor if isinstance(kind, TokensInput) else ENCODED_IMAGE: _as_bytes(column)
            for kind, column in self._columns()
        }

    def tensors(self) -> dict[str, Array]:
        """What goes to the endpoint for tensors, by the inputs' names."""
        return {kind.tensor: _as_tensor(column) for kind, column in self._columns()}

    def _columns(self) -> Iterator[tuple[Input, Sequence[Part]]]:
        return zip(self.card.inputs, zip(*map(_parts, self.items), strict=True), strict=True)


def batches(items: Iterable[Item], card: Card, *, decode: bool, files: bool = False) -> Iterator[Batch]:
    """Group neighbours, up to the Card's largest batch; the order stays.

    decode: decode here whatever is encoded, for a certain version of a model: in a repository of an earlier
        regard the endpoint for images leads to the latest.
    files: send even pixels as files (PNG), which lose nothing.
    """
    group: list[_Fitted] = []
    for item in items:
        fitted = _fitted(item, card, decode=decode, files=files)
        full = len(group) == card.max_batch
        if group and (full or fitted.kind != group[0].kind or isinstance(fitted.item, Refused)):
            yield _batch(group, card, files=files)
            group = []
        group.append(fitted)
    if group:
        yield _batch(group, card, files=files)


@dataclass(frozen=True)
class _Fitted:
    """An item as the server takes it, the size it has inside the network, and the size it had."""

    item: Item
    size: Size
    given: Size

    @property
    def kind(self) -> tuple[tuple[type[Part], ...], Size]:
        """What neighbours in a request have in common."""
        return tuple(map(type, _parts(self.item))), self.size


def _batch(group: list[_Fitted], card: Card, *, files: bool) -> Batch:
    items, given = tuple(each.item for each in group), tuple(each.given for each in group)
    files = files or any(isinstance(part, Encoded) for part in _parts(items[0]))
    return Batch(card, files, items, group[0].size, given)


def _fitted(item: Item, card: Card, *, decode: bool, files: bool) -> _Fitted:
    if isinstance(item, Several):
        parts = [_fitted_part(part, card, decode=decode, files=files) for part in item.parts]
        refused = next((each for each in parts if isinstance(each.item, Refused)), None)
        if refused is not None:
            return refused
        pixels = next((each for each in parts if each.size != NO_PIXELS), parts[0])
        taken = Several(tuple(part for each in parts for part in _parts(each.item)))
        return _Fitted(taken, pixels.size, pixels.given)
    return _fitted_part(item, card, decode=decode, files=files)


def _fitted_part(item: Part | Refused, card: Card, *, decode: bool, files: bool) -> _Fitted:
    if isinstance(item, Encoded) and decode:
        item = decoded(item)
    match item:
        case Encoded():
            height, width = item.height, item.width
        case Raw():
            height, width = item.pixels.shape[:2]
        case Clip():
            height, width = item.frames[0].shape[:2]
        case _:
            return _Fitted(item, NO_PIXELS, NO_PIXELS)
    contract, size = card.input, (height, width)
    taken = item if files else _as_taken(item, contract)
    if not contract.dynamic_size:
        return _Fitted(taken, (contract.height, contract.width), size)
    if contract.min_size <= min(size) <= max(size) <= contract.max_size:
        return _Fitted(taken, size, size)
    error = InvalidInput(
        f"{item.where}: the image is {width} x {height} pixels, but {card.name} takes sides from "
        f"{contract.min_size} to {contract.max_size} pixels; resize it first"
    )
    return _Fitted(Refused(item.where, error), NO_PIXELS, size)


def _as_taken(item: Part, contract: PixelsInput) -> Part:
    """Pixels are fitted here, encoded images on the server."""
    match item:
        case Raw(where, pixels):
            return Raw(where, contract.fit(pixels))
        case Clip(where, frames):
            return Clip(where, tuple(map(contract.fit, frames)))
        case _:
            return item


def _parts(item: Item) -> tuple[Part, ...]:
    match item:
        case Several(parts):
            return parts
        case Refused():
            return ()
        case _:
            return (item,)


def _as_bytes(column: Sequence[Part]) -> Array:
    rows = [_contents(part) for part in column]
    array = np.empty((len(rows), len(rows[0])), dtype=object)
    for place, row in enumerate(rows):
        array[place] = row
    return array


def _contents(part: Part) -> list[bytes]:
    match part:
        case Encoded():
            return [part.data]
        case Raw():
            return [as_file(part.pixels)]
        case Clip():
            return [*map(as_file, part.frames)]
        case Words():
            return [part.text.encode()]


def _as_tensor(column: Sequence[Part]) -> Array:
    match column[0]:
        case Words():
            return padded([part.numbers for part in column if isinstance(part, Words)])
        case Clip():
            return _stacked([np.stack(part.frames) for part in column if isinstance(part, Clip)])
        case _:
            return _stacked([part.pixels for part in column if isinstance(part, Raw)])


def _stacked(pixels: Sequence[Pixels]) -> Array:
    return pixels[0][None] if len(pixels) == 1 else np.stack(pixels)
