"""An input that is a text: words by number."""

import re
import unicodedata
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from regard.contract.input_kind import Array, InputKind, batch_fault
from regard.contract.names import TENSOR_PATTERN
from regard.contract.tokenizer import Tokenizer

PADDING = "<pad>"
UNKNOWN = "<unk>"
END = "<end>"
WORD = r"\w+"  # by default: letters, digits and underscores of any script
SENTENCE_END = r"[.!?\n]+"


class TokensInput(InputKind):
    """A text of known words: int64 (B, words), or a story (B, sentences, words); rows are padded at the end
    with 0, and padding never changes an answer.
    """

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.int64)

    kind: Literal["tokens"] = "tokens"
    name: str = Field(default="tokens", pattern=TENSOR_PATTERN, description="of the tensor")
    vocabulary: tuple[str, ...] = Field(min_length=2, description="words by number; the first is padding")
    pattern: str = Field(default=WORD, description="regular expression of a word; all else is left out")
    lowercase: bool = Field(default=True, description="whether upper and lower case are one")
    padding: str = PADDING
    unknown: str | None = Field(
        default=UNKNOWN, description="stands for words outside the vocabulary; None refuses them"
    )
    end: str | None = Field(default=None, description="put behind every text, or every sentence of a story")
    longest: int = Field(gt=0, description="words of a text or sentence, end among them")
    sentences: int | None = Field(
        default=None, gt=0, description="of a story, at most; None where a text is one row of words"
    )
    sentence_pattern: str = Field(default=SENTENCE_END, description="regular expression of a sentence's end")
    max_batch: int = Field(default=16, gt=0)

    @field_validator("pattern", "sentence_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            matches_nothing = re.compile(pattern).match("")
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        if matches_nothing:
            raise ValueError(f"{pattern!r} matches the empty text: let it match one letter at least")
        return pattern

    @model_validator(mode="after")
    def _check(self) -> "TokensInput":
        check_words(self.vocabulary, padding=self.padding, end=self.end, what="vocabulary")
        if self.unknown is not None and self.unknown not in self.vocabulary:
            raise ValueError(
                f"unknown {self.unknown!r} is no word of the vocabulary: add it, or set unknown to "
                "null, which refuses unknown words"
            )
        special = (self.padding, self.unknown, self.end)
        named = [word for word in special if word is not None]
        if len(set(named)) != len(named):
            raise ValueError("padding, unknown and end must be different words")
        if self.end is not None and self.longest < 2:
            raise ValueError(f"longest is {self.longest}, which leaves no word beside end {self.end!r}")
        upper = [word for word in self.vocabulary if word not in special and word != word.lower()]
        if self.lowercase and upper:
            raise ValueError(
                f"with lowercase no text holds the word {upper[0]!r}: write it {upper[0].lower()!r}, or set "
                "lowercase to false"
            )
        return self

    @property
    def tensor(self) -> str:
        return self.name

    @property
    def dims(self) -> tuple[int, ...]:
        return (-1,) if self.sentences is None else (-1, -1)

    @property
    def tokenizer(self) -> Tokenizer:
        """What turns a text into this input."""
        return Tokenizer(**{name: getattr(self, name) for name in Tokenizer.__dataclass_fields__})

    def fault(self, batch: Array) -> str | None:
        rank = len(self.dims) + 1
        if batch.dtype != self.dtype or batch.ndim != rank:
            return f"takes word numbers int64 of {rank} dimensions, got {batch.dtype} of shape {batch.shape}"
        most = (self.longest,) if self.sentences is None else (self.sentences, self.longest)
        if any(not 1 <= got <= limit for got, limit in zip(batch.shape[1:], most, strict=True)):
            return (
                f"takes up to {' x '.join(map(str, most))} words, got {' x '.join(map(str, batch.shape[1:]))}"
            )
        if batch.size and not 0 <= batch.min() <= batch.max() < len(self.vocabulary):
            return f"has {len(self.vocabulary)} words, got numbers from {batch.min()} to {batch.max()}"
        return batch_fault(batch, self.max_batch)


def check_words(words: tuple[str, ...], *, padding: str, end: str | None, what: str) -> None:
    """Hold the words of an input or answer against what both keep to, with a ValueError."""
    if words[0] != padding:
        raise ValueError(f"the {what}'s first word must be padding {padding!r}, whose number is 0")
    if end is not None and end not in words:
        raise ValueError(f"end {end!r} is no word of the {what}: add it")
    if len(set(words)) != len(words):
        twice = next(word for word in words if words.count(word) > 1)
        raise ValueError(f"the {what} has the word {twice!r} twice")
    for word in words:
        if word != unicodedata.normalize("NFC", word):
            raise ValueError(f"the {what}'s word {word!r} is not in Unicode's composed form (NFC)")
