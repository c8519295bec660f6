"""From a text to the words that a network reads, by number: the only implementation, in training, proof,
server and client.

It needs numpy alone, because the server's backend for texts runs a copy of this very file.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

NEAREST = 3  # known words that a message suggests
QUOTED = 60  # letters of a text that a message repeats
MOST_LETTERS = 100_000  # of one text; longer ones are refused before they are split


class BadText(ValueError):
    """A text that a network cannot read: without words, too long, or of unknown words."""


@dataclass(frozen=True)
class Tokenizer:
    """Words and their numbers; a word's number is its place in the vocabulary.

    Attributes:
        vocabulary: all words; the first is `padding`.
        pattern: regular expression of a word; what lies between words is left out.
        lowercase: whether upper and lower case are one.
        padding: fills rows up to the longest of a batch.
        unknown: stands for words outside the vocabulary; None refuses them.
        end: put behind every text, or every sentence; None for no such word.
        longest: words of a text, or of a sentence, `end` among them.
        sentences: None: a text is one row of words. A number: a text is a story of at most so many sentences,
            each a row.
        sentence_pattern: regular expression of what ends a sentence.
    """

    vocabulary: tuple[str, ...]
    pattern: str
    lowercase: bool
    padding: str
    unknown: str | None
    end: str | None
    longest: int
    sentences: int | None
    sentence_pattern: str

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Each word's number."""
        return {word: number for number, word in enumerate(self.vocabulary)}

    @cached_property
    def special(self) -> frozenset[str]:
        """Words that stand for something else, and that no text can hold."""
        return frozenset(word for word in (self.padding, self.unknown, self.end) if word is not None)

    def words(self, text: str) -> list[str]:
        """The words of a text, in Unicode's composed form (NFC)."""
        text = unicodedata.normalize("NFC", text)
        return [
            match.group() for match in re.finditer(self.pattern, text.lower() if self.lowercase else text)
        ]

    def encode(self, text: str) -> Ids:
        """A text as numbers (words,), or a story as (sentences, words), padded to its longest sentence.

        Raises:
            BadText: it has no word, too many words or sentences, or words that are unknown.
        """
        if len(text) > MOST_LETTERS:
            raise BadText(f"the text has {len(text)} letters, more than {MOST_LETTERS}; send a shorter one")
        if self.sentences is None:
            return np.array(self._row(text, "the text"), np.int64)
        parts = [part for part in re.split(self.sentence_pattern, text) if self.words(part)]
        if not parts:
            raise BadText("the story is empty: it has no word")
        if len(parts) > self.sentences:
            raise BadText(
                f"the story has {len(parts)} sentences, the model takes {self.sentences}: leave some out"
            )
        return padded([np.array(self._row(part, f"the sentence {_quoted(part.strip())}")) for part in parts])

    def batch(self, texts: Sequence[str]) -> Ids:
        """Texts as one batch (B, words), or stories as (B, sentences, words), padded at the end to the
        largest.

        Raises:
            BadText: as of `encode`, with the text's place where there are several.
        """
        rows = []
        for place, text in enumerate(texts):
            try:
                rows.append(self.encode(text))
            except BadText as error:
                raise BadText(f"text {place}: {error}" if len(texts) > 1 else str(error)) from None
        return padded(rows)

    def _row(self, text: str, name: str) -> list[int]:
        words = self.words(text)
        if not words:
            raise BadText(f"{name} is empty: it has no word")
        room = self.longest - (self.end is not None)
        if len(words) > room:
            raise BadText(f"{name} has {len(words)} words, the model takes up to {room}: shorten it")
        row = [self._number(word) for word in words]
        return row if self.end is None else [*row, self.numbers[self.end]]

    def _number(self, word: str) -> int:
        if word in self.numbers and word not in self.special:
            return self.numbers[word]
        if self.unknown is not None:
            return self.numbers[self.unknown]
        near = get_close_matches(word, self.numbers.keys() - self.special, n=NEAREST)
        hint = f"the nearest are {', '.join(map(repr, near))}" if near else "say it in other words"
        raise BadText(f"the model does not know the word {_quoted(word)} of {len(self.vocabulary)}: {hint}")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= QUOTED else f"{text[:QUOTED]}...")


def padded(rows: Sequence[Ids]) -> Ids:
    """Arrays of numbers of one rank as a batch, each padded at its end with 0 to the largest."""
    largest = np.max([row.shape for row in rows], axis=0)
    stacked = np.zeros((len(rows), *largest), np.int64)
    for place, row in enumerate(rows):
        stacked[(place, *map(slice, row.shape))] = row
    return stacked
