"""A model's endpoints, what a golden is at each, and how the words of a stream are an answer."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from regard.contract.answers import Sequence
from regard.contract.answers.kind import Array
from regard.contract.card import Card
from regard.contract.goldens import Golden
from regard.contract.names import (
    ENCODED_IMAGE,
    IMAGE_ENDPOINT,
    STREAM_ENDPOINT,
    TEXT_ENDPOINT,
    TOKEN,
)
from regard.errors import InferenceError

Endpoint = Literal["tensor", "image", "text", "stream"]
SUFFIX: dict[Endpoint, str] = {
    "tensor": "",
    "image": IMAGE_ENDPOINT,
    "text": TEXT_ENDPOINT,
    "stream": STREAM_ENDPOINT,
}
ENDPOINTS: tuple[Endpoint, ...] = tuple(SUFFIX)


def name_of(model: str, endpoint: Endpoint) -> str:
    """What an endpoint of a model is called on the server."""
    return model + SUFFIX[endpoint]


def endpoint_of(name: str) -> Endpoint:
    """Which of a model's endpoints a name on the server is."""
    for endpoint, suffix in SUFFIX.items():
        if suffix and name.endswith(suffix):
            return endpoint
    return "tensor"


def raw_inputs(golden: Golden, card: Card) -> dict[str, Array]:
    """A golden as the endpoints for files and texts take it, in a batch of one."""
    inputs = {} if card.pixels is None else {ENCODED_IMAGE: np.array([golden.images], np.object_)}
    for text in card.texts:
        inputs[text.tensor] = np.array([[golden.texts[text.tensor].encode()]], np.object_)
    return inputs


def streamed(words: Iterable[Mapping[str, Array]], card: Card) -> Array:
    """The words of a stream as the served answer (1, longest), in which the end is a word.

    Raises:
        InferenceError: there are more than the longest answer has.
    """
    assert isinstance(card.answer, Sequence)
    tokens = [int(word[TOKEN].item()) for word in words]
    if len(tokens) > card.answer.longest:
        message = f"the stream has {len(tokens)} words, and the Card's longest answer {card.answer.longest}"
        raise InferenceError("INTERNAL", message, card.name)
    row = np.zeros((1, card.answer.longest), card.answer.dtype)
    row[0, : len(tokens)] = tokens
    if len(tokens) < card.answer.longest:
        row[0, len(tokens)] = card.answer.vocabulary.index(card.answer.end)
    return row
