"""What the documentation gives for users to copy, as code."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from regard.contract.preprocess import Pixels


def placed() -> Callable[..., Pixels]:
    """`placed` of docs/predict.md, for those who use plain HTTP."""
    lines = (Path(__file__).parents[1] / "docs" / "predict.md").read_text().splitlines()
    start = lines.index("    def placed(label_map, H, W, resize, crop, unseen):")
    end = next(index for index in range(start, len(lines)) if lines[index][:1].strip())
    scope: dict[str, Any] = {"np": np}
    exec(textwrap.dedent("\n".join(lines[start:end])), scope)
    function: Callable[..., Pixels] = scope["placed"]
    return function
