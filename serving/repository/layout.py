"""What lies where in a model repository.

<repository>/<name>/{config.pbtxt,labels.txt,card.json,last_version,1/{model.onnx,card.json}}
<repository>/<name>_image/{config.pbtxt,labels.txt,card.json,1/{model.onnx,card.json}}

In place of `<name>_image` a model without an image has `<name>_text`; one that answers word by word may have
`<name>_stream` too. The files of a version are the same in all: hard links. Any folder may be missing.
"""

import re
from pathlib import Path

from regard.contract.card import Card
from regard.contract.names import (
    CARD_FILE,
    ENDPOINTS,
    IMAGE_ENDPOINT,
    PREPROCESS_STEP,
    STREAM_ENDPOINT,
    TEXT_ENDPOINT,
)


def endpoints_of(name: str) -> tuple[str, ...]:
    """Every name that a model may be called by: with tensors, with files and texts, word by word. In this
    order they may appear under a server, since the others may call the one for tensors.
    """
    return name, *(name + suffix for suffix in ENDPOINTS)


def raw_endpoint(name: str, card: Card) -> str:
    """What a model is called by with files and texts, as they are."""
    return name + (TEXT_ENDPOINT if card.pixels is None else IMAGE_ENDPOINT)


def stream_endpoint(name: str) -> str:
    """What a model is called by for its words one by one."""
    return name + STREAM_ENDPOINT


def endpoints_in(repository: Path, name: str) -> tuple[str, ...]:
    """Those of a model's endpoints that a repository holds."""
    return tuple(endpoint for endpoint in endpoints_of(name) if (repository / endpoint).is_dir())


def home_of(repository: Path, name: str) -> Path | None:
    """The folder that stands for a model: the endpoint for tensors, or else the first that regard added; None
    where there is no such model.
    """
    tensors, *others = (repository / endpoint for endpoint in endpoints_of(name))
    if tensors.is_dir():
        return tensors
    return next((folder for folder in others if (folder / CARD_FILE).is_file()), None)


def parts_of(name: str) -> tuple[str, ...]:
    """Every folder that may be a model's, that of an earlier layout included (former.py), each after those
    that it needs.
    """
    return name + PREPROCESS_STEP, *endpoints_of(name)


def model_folders(repository: Path) -> list[Path]:
    """What the server takes for models: every folder, by name."""
    return sorted(path for path in repository.iterdir() if path.is_dir())


def versions_in(folder: Path) -> list[int]:
    """The versions of a model or of one of its endpoints, rising."""
    return sorted(
        int(path.name) for path in folder.iterdir() if path.is_dir() and re.fullmatch(r"[1-9]\d*", path.name)
    )
