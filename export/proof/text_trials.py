"""Texts that a certificate tries: those that are given, or words drawn from the vocabulary, always the same.

                texts                   padded to
    first       two                     the longer of them
    alone       the shortest            itself
    many        six                     the most words that the Card allows
    others      one                     itself

So the same text is seen at several lengths: padding must not change its answer.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from regard.contract.answers.kind import Array
from regard.contract.card import Card
from regard.contract.tokenizer import BadText
from regard.contract.tokens_input import TokensInput
from regard.errors import InvalidInput

Texts = Mapping[str, str]  # by the tensor that each is for
DRAWN = 6  # as many as the largest batch of a certificate
BETWEEN_WORDS, BETWEEN_SENTENCES = (" ", ""), (". ", "\n", "? ", "; ")


def texts_of(card: Card, given: Sequence[Texts]) -> list[Texts]:
    """The texts of a proof: one for each input that takes any, in each row.

    given: rows of texts; drawn where there are none.

    Raises:
        InvalidInput: a row lacks a text or has one too many, a text cannot be read, or none can be drawn.
    """
    takers = card.texts
    rows = given or [{each.tensor: _drawn(each, turn) for each in takers} for turn in range(DRAWN)]
    for place, row in enumerate(rows, 1):
        if row.keys() != {each.tensor for each in takers}:
            wanted = ", ".join(each.tensor for each in takers) or "no texts"
            raise InvalidInput(f"{card.name} takes {wanted}; text {place} of the proof has {', '.join(row)}")
        for each in takers:
            try:
                each.tokenizer.encode(row[each.tensor])
            except BadText as error:
                raise InvalidInput(f"{each.tensor} of text {place} of the proof: {error}") from None
    return [*rows]


def text_batches(texts: Sequence[str], contract: TokensInput, batches: Sequence[int]) -> Iterator[Array]:
    """The input of each trial, of so many rows.

    texts: for this input.
    """
    encode, most = contract.tokenizer.batch, (contract.sentences, contract.longest)
    limits = [limit for limit in most if limit is not None]
    shortest = min(texts, key=lambda text: encode([text]).size)
    largest = max(batches)
    for turn, batch in enumerate(batches):
        if turn and batch == 1:
            yield encode([shortest if turn == 1 else texts[turn % len(texts)]])
            continue
        rows = encode([texts[row % len(texts)] for row in range(batch)])
        # at least two, lest the traced length is taken for the constant 1
        least = limits if batch == largest else [min(2, limit) for limit in limits]
        yield padded(rows, least)


def padded(rows: Array, least: Sequence[int]) -> Array:
    """Texts padded to so many words, or sentences and words, at least."""
    more = [max(0, wanted - size) for size, wanted in zip(rows.shape[1:], least, strict=True)]
    return np.pad(rows, [(0, 0), *((0, each) for each in more)])


def _drawn(contract: TokensInput, turn: int) -> str:
    """A text of words at random, of another length each turn."""
    random = np.random.default_rng(turn)
    tokenizer = contract.tokenizer
    words = [word for word in contract.vocabulary if tokenizer.words(word) == [word]]
    words = [word for word in words if word not in tokenizer.special]
    if not words:
        raise InvalidInput(
            f"no word of {contract.tensor}'s vocabulary can be written; give texts for the proof"
        )
    room = contract.longest - (contract.end is not None)
    sentences = [
        _joined(random.choice(words, random.integers(1, room + 1)).tolist(), contract)
        for _ in range(random.integers(1, (contract.sentences or 1) + 1))
    ]
    separator = next(
        (each for each in BETWEEN_SENTENCES if len(re.split(contract.sentence_pattern, f"a{each}a")) == 2),
        None,
    )
    if separator is None and len(sentences) > 1:
        raise InvalidInput(f"sentences of {contract.tensor} cannot be drawn; give texts for the proof")
    return (separator or "").join(sentences)


def _joined(words: list[str], contract: TokensInput) -> str:
    for between in BETWEEN_WORDS:
        text = between.join(words)
        if contract.tokenizer.words(text) == words:
            return text
    raise InvalidInput(f"texts of {contract.tensor} cannot be drawn from its words; give texts for the proof")
