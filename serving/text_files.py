"""Files of texts, one a line; for a model of several texts a line holds them all, with tabs between them."""

from pathlib import Path

from regard.contract.card import Card
from regard.contract.tokenizer import BadText
from regard.errors import InvalidInput

Texts = dict[str, str]  # by the names of a Card's inputs


def read_text(file: Path) -> str:
    """A file of text in UTF-8.

    Raises:
        InvalidInput: it cannot be read, or is none.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is no text in UTF-8; write it so") from None


def read_texts(file: Path, card: Card) -> list[Texts]:
    """The texts of each line that is not blank, in the Card's order.

    Raises:
        InvalidInput: the file cannot be read, holds no line, or one that the model cannot read.
    """
    found = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not line.strip():
            continue
        texts = line.split("\t")
        if len(texts) != len(card.texts):
            names = ", ".join(kind.name for kind in card.texts)
            raise InvalidInput(
                f"line {number} of {file} has {len(texts)} texts, {card.name} takes {len(card.texts)} with a "
                f"tab between: {names}"
            )
        for kind, text in zip(card.texts, texts, strict=True):
            try:
                kind.tokenizer.encode(text)
            except BadText as error:
                raise InvalidInput(f"line {number} of {file}, {kind.name}: {error}") from None
        found.append({kind.name: text for kind, text in zip(card.texts, texts, strict=True)})
    if not found:
        raise InvalidInput(f"{file} is empty; write a text on each line")
    return found
