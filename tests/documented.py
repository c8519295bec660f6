"""What the documentation gives for users to copy, as code."""

from collections.abc import Callable
from typing import Any

import numpy as np
from tests.docs.blocks import ROOT, blocks_of

from regard.contract.preprocess import Pixels


def placed() -> Callable[..., Pixels]:
    """`placed` of docs/predict.md, for those who use plain HTTP."""
    page = ROOT / "docs" / "predict.md"
    (text,) = (block.text for block in blocks_of(page) if "def placed(" in block.text)
    scope: dict[str, Any] = {"np": np}
    exec(text, scope)
    function: Callable[..., Pixels] = scope["placed"]
    return function
