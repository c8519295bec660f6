"""The smallest requests that a served model should answer, by its configuration: for what its Card says that
it takes, and by a guess where there is none.
"""

import io
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from regard.contract.card import Card
from regard.contract.inputs import TokensInput
from regard.contract.names import CARD_PARAMETER
from regard.contract.reading import card_from_json
from regard.errors import InvalidInput
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.tensors import dtype_of
from regard.serving.protocol.wire import Array, Fault, Parameter, Request

GUESSED_SIDE = 32  # of a dimension whose meaning only the model's author knows
SEQUENCES = 2**63  # a probe's number among them is nobody else's


@dataclass(frozen=True)
class Probe:
    """A request, and whether its answers come one by one."""

    request: Request
    streamed: bool = False

    def ask(self, connection: Connection, *, timeout: float) -> None:
        """Send it, and wait for all that is answered. Raises Fault."""
        if not self.streamed:
            connection.infer(self.request, timeout=timeout)
            return
        try:
            with closing(connection.stream(self.request, timeout=timeout)) as answers:
                for _ in answers:
                    pass
        except Fault as fault:
            if fault.code != "UNKNOWN":
                raise
            # what a stream calls a refusal by Triton itself, such as of a model that was unloaded meanwhile
            raise Fault("UNAVAILABLE", fault.message) from None


def probes_of(config: Mapping[str, Any], version: str = "") -> tuple[Probe, ...]:
    """The smallest request, and where the smallest may be too small for the network, one of the size it was
    made for; none where only the model's author could say what is valid. One to a model that keeps state
    begins a sequence of its own and ends it.
    """
    card = _card_of(config)
    streamed = bool(config.get("model_transaction_policy", {}).get("decoupled"))
    return tuple(
        Probe(Request(config["name"], version, inputs, parameters=_sequence(config)), streamed)
        for inputs in (_guessed(config) if card is None else _of_card(config, card))
    )


def has_card(config: Mapping[str, Any]) -> bool:
    """Whether a configuration says by a Card what its model takes."""
    return _card_of(config) is not None


def _card_of(config: Mapping[str, Any]) -> Card | None:
    text = config.get("parameters", {}).get(CARD_PARAMETER, {}).get("string_value")
    try:
        return card_from_json(text, source=config["name"]) if text else None
    except InvalidInput:  # another regard's, or somebody else's parameter
        return None


def _sequence(config: Mapping[str, Any]) -> dict[str, Parameter]:
    if "sequence_batching" not in config:
        return {}
    number = 1 + secrets.randbelow(SEQUENCES - 1)
    return {"sequence_id": number, "sequence_start": True, "sequence_end": True}


def _guessed(config: Mapping[str, Any]) -> Iterator[dict[str, Array]]:
    inputs = config.get("input", ())
    if len(inputs) != 1 or inputs[0]["data_type"] == "TYPE_STRING":
        return
    (only,) = inputs
    shape = _filled(_shape(config, only), (GUESSED_SIDE, GUESSED_SIDE))
    yield {only["name"]: np.zeros(shape, dtype_of(only["data_type"].removeprefix("TYPE_")))}


def _of_card(config: Mapping[str, Any], card: Card) -> Iterator[dict[str, Array]]:
    for size in dict.fromkeys(_sizes(card)):
        yield {each["name"]: _example(config, each, card, size) for each in config.get("input", ())}


def _example(
    config: Mapping[str, Any], tensor: Mapping[str, Any], card: Card, size: tuple[int, int]
) -> Array:
    """What an input of a batch of one may be: black pixels, or one word."""
    text = next((each for each in card.texts if each.tensor == tensor["name"]), None)
    if text is not None:
        return _word(text, in_letters=tensor["data_type"] == "TYPE_STRING")
    if tensor["data_type"] == "TYPE_STRING":
        # a batch of one, whether or not the configuration's dims name it
        return np.array([[_encoded(size)] * int(tensor["dims"][-1])], np.object_)
    dtype = dtype_of(tensor["data_type"].removeprefix("TYPE_"))
    return np.zeros(_filled(_shape(config, tensor), size), dtype)


def _word(text: TokensInput, *, in_letters: bool) -> Array:
    """The first word of the vocabulary that a text can hold."""
    tokenizer = text.tokenizer
    known = (word for word in text.vocabulary if word not in tokenizer.special)
    word = next((word for word in known if tokenizer.words(word) == [word]), text.vocabulary[-1])
    if in_letters:
        return np.array([[word.encode()]], np.object_)
    return np.full((1, *(1 for _ in text.dims)), tokenizer.numbers[word])


def _sizes(card: Card) -> list[tuple[int, int]]:
    """Heights and widths; a network of one size stretches or crops what is sent."""
    contract = card.pixels
    if contract is None:
        return [(1, 1)]
    own = (contract.height, contract.width)
    return [(contract.min_size, contract.min_size), own] if contract.dynamic_size else [own]


def _shape(config: Mapping[str, Any], tensor: Mapping[str, Any]) -> list[int]:
    dims = [int(dim) for dim in tensor.get("dims", ())]
    if config.get("max_batch_size"):
        dims.insert(0, 1)
    elif dims and dims[0] < 0:
        dims[0] = 1  # most likely a batch
    return dims


def _filled(dims: Sequence[int], size: tuple[int, int]) -> tuple[int, ...]:
    """The dimensions, with height and width in turn for those that vary."""
    sides = iter(size * len(dims))
    return tuple(dim if dim > 0 else next(sides) for dim in dims)


def _encoded(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size[1], size[0])).save(file, "PNG")
    return file.getvalue()
