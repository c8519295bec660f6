"""Texts, as the words that a model reads, one at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from regard.contract.inputs import TokensInput
from regard.contract.tokenizer import BadText
from regard.errors import InvalidInput
from regard.serving.client.items import Refused, Words

Texts: TypeAlias = str | Sequence[str]


def entries(value: object, kind: TokensInput) -> Iterator[Words | Refused]:
    """Each text in order; Refused where the model cannot read it.

    Raises:
        InvalidInput: neither a text nor several.
    """
    encode, name = kind.tokenizer.encode, "text" if kind.name == "tokens" else kind.name

    def entry(text: object, where: str) -> Words | Refused:
        if not isinstance(text, str):
            error = InvalidInput(f"{where}: a text is a str, got {type(text).__name__}")
            return Refused(where, error)
        try:
            return Words(where, text, encode(text))
        except BadText as error:
            return Refused(where, InvalidInput(f"{where}: {error}"))

    if isinstance(value, str):
        yield entry(value, f"the {name}")
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for index, text in enumerate(value):
            yield entry(text, f"{name}[{index}]")
    else:
        raise InvalidInput(f"{name} must be a text (str) or several, got {type(value).__name__}")
