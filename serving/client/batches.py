"""Images, in order, to the requests that carry them.

A model has two endpoints, or one of them. Encoded files go to `<model>_image`, which decodes and fits them on
the server; pixels are fitted here, by the Card, and go to `<model>` as one tensor.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from regard.contract.card import Card
from regard.contract.image_input import ImageInput
from regard.contract.names import ENCODED_IMAGE, IMAGE, IMAGE_ENDPOINT
from regard.errors import InvalidInput
from regard.serving.client.images import Encoded, Item, Raw, Refused, decoded
from regard.serving.protocol.wire import Array


def image_endpoint(model: str) -> str:
    """The name that takes image files; a model may be asked for by it, and is then served for these alone."""
    return model if model.endswith(IMAGE_ENDPOINT) else model + IMAGE_ENDPOINT


@dataclass(frozen=True)
class Batch:
    """Neighbouring images that fit into one request, to the same endpoint and of the same size; or one
    refused image.

    size: (height, width) of the network's input.
    given: (height, width) of each image before it was fitted.
    """

    items: tuple[Item, ...]
    size: tuple[int, int]
    given: tuple[tuple[int, int], ...]

    @property
    def refused(self) -> InvalidInput | None:
        """Why it is not sent."""
        first = self.items[0]
        return first.error if isinstance(first, Refused) else None

    def singles(self) -> "list[Batch]":
        """Its images, one request each."""
        return [
            Batch((item,), self.size, (given,)) for item, given in zip(self.items, self.given, strict=True)
        ]

    def tensor(self, model: str) -> tuple[str, str, Array]:
        """The model that it goes to, the name of its input, and the tensor."""
        encoded = [item.data for item in self.items if isinstance(item, Encoded)]
        if encoded:
            column = np.empty((len(encoded), 1), dtype=object)
            column[:, 0] = encoded
            return image_endpoint(model), ENCODED_IMAGE, column
        pixels = [item.pixels for item in self.items if isinstance(item, Raw)]
        return model, IMAGE, pixels[0][None] if len(pixels) == 1 else np.stack(pixels)


def batches(items: Iterable[Item], card: Card, *, decode: bool) -> Iterator[Batch]:
    """Group neighbours, up to the Card's largest batch; the order stays.

    decode: decode here whatever is encoded, for a certain version of a model: in a repository of an earlier
        regard the endpoint for images leads to the latest.
    """
    group: list[_Fitted] = []
    for item in items:
        fitted = _fitted(decoded(item) if decode else item, card)
        full = len(group) == card.input.max_batch
        if group and (full or fitted.kind != group[0].kind or isinstance(fitted.item, Refused)):
            yield _batch(group)
            group = []
        group.append(fitted)
    if group:
        yield _batch(group)


@dataclass(frozen=True)
class _Fitted:
    """An item as the server takes it, the size it has inside the network, and the size it had."""

    item: Item
    size: tuple[int, int]
    given: tuple[int, int]

    @property
    def kind(self) -> tuple[type[Item], tuple[int, int]]:
        """What neighbours in a request have in common."""
        return type(self.item), self.size


def _batch(group: list[_Fitted]) -> Batch:
    items, given = tuple(each.item for each in group), tuple(each.given for each in group)
    return Batch(items, group[0].size, given)


def _fitted(item: Item, card: Card) -> _Fitted:
    contract = card.input
    if isinstance(item, Refused):
        return _Fitted(item, (0, 0), (0, 0))
    height, width = (item.height, item.width) if isinstance(item, Encoded) else item.pixels.shape[:2]
    if not contract.dynamic_size:
        return _Fitted(_as_taken(item, contract), (contract.height, contract.width), (height, width))
    if not contract.min_size <= min(height, width) <= max(height, width) <= contract.max_size:
        rule = f"{card.name} takes sides from {contract.min_size} to {contract.max_size} pixels"
        error = InvalidInput(
            f"{item.where}: the image is {width} x {height} pixels, but {rule}; resize it first"
        )
        return _Fitted(Refused(item.where, error), (0, 0), (height, width))
    return _Fitted(_as_taken(item, contract), (height, width), (height, width))


def _as_taken(item: Item, contract: ImageInput) -> Item:
    """Pixels are fitted here, encoded images on the server."""
    return Raw(item.where, contract.fit(item.pixels)) if isinstance(item, Raw) else item
