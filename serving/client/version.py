"""Which version of a model is meant."""

import re
from typing import TypeAlias

from regard.errors import InvalidInput

Version: TypeAlias = int | str  # 1 and "1" are the same; "" is the server's choice, the latest


def written(version: Version) -> str:
    """The version as the server names it.

    Raises:
        InvalidInput: not a positive whole number.
    """
    text = str(version)
    if version != "" and not re.fullmatch(r"[1-9][0-9]*", text):
        raise InvalidInput(
            f"version must be a whole number from 1 on, or left out for the latest; got {version!r}"
        )
    return text
