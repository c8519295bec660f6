"""The texts that a benchmark sends where none are given: words drawn from the Card's vocabulary."""

import numpy as np

from regard.contract.card import Card
from regard.contract.inputs import TokensInput
from regard.errors import InvalidInput
from regard.serving.text_files import Texts

MOST = 64  # texts are prepared before the run, as images are; of a file's the first
SEED = 0


def drawn_texts(card: Card) -> list[Texts]:
    """64 texts of random words and lengths, the same each time."""
    generator = np.random.default_rng(SEED)
    return [{kind.name: _drawn(kind, generator) for kind in card.texts} for _ in range(MOST)]


def _drawn(kind: TokensInput, generator: np.random.Generator) -> str:
    """A text, or a story whose sentences are a line each."""
    tokenizer = kind.tokenizer
    sayable = (word for word in kind.vocabulary if tokenizer.words(word) == [word])
    words = [word for word in sayable if word not in tokenizer.special]
    if not words:
        raise InvalidInput(f"no word of {kind.name!r} can be written alone; give the texts in a file")
    longest = kind.longest - (kind.end is not None)
    sentences = 1 if kind.sentences is None else int(generator.integers(1, kind.sentences + 1))
    return "\n".join(
        " ".join(generator.choice(words, int(generator.integers(1, longest + 1)))) for _ in range(sentences)
    )
