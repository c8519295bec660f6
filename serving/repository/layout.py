"""What lies where in a model repository.

<repository>/<name>/{config.pbtxt,labels.txt,card.json,last_version,1/{model.onnx,card.json}}
<repository>/<name>_image/{config.pbtxt,labels.txt,card.json,1/{model.onnx,card.json}}

The files of a version are the same in both: hard links. Either folder may be missing.
"""

import re
from pathlib import Path

from regard.contract.names import CARD_FILE, IMAGE_ENDPOINT, PREPROCESS_STEP


def endpoints_of(name: str) -> tuple[str, str]:
    """The two names that a model is called by: with tensors, and with encoded images."""
    return name, name + IMAGE_ENDPOINT


def endpoints_in(repository: Path, name: str) -> tuple[str, ...]:
    """Those of a model's endpoints that a repository holds: in this order they may appear under a server,
    since the one for images may call the one for tensors.
    """
    return tuple(endpoint for endpoint in endpoints_of(name) if (repository / endpoint).is_dir())


def home_of(repository: Path, name: str) -> Path | None:
    """The folder that stands for a model: the endpoint for tensors, or else the one for images if regard
    added it; None where there is no such model.
    """
    tensors, images = (repository / endpoint for endpoint in endpoints_of(name))
    if tensors.is_dir():
        return tensors
    return images if (images / CARD_FILE).is_file() else None


def parts_of(name: str) -> tuple[str, str, str]:
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
