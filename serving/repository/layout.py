"""What lies where in a model repository.

<repository>/<name>/{config.pbtxt,labels.txt,card.json,1/{model.onnx,card.json}}
<repository>/<name>_preprocess/{config.pbtxt,1/{model.py,preprocess.py,card.json,__pycache__}}
<repository>/<name>_image/{config.pbtxt,1/.keep}
"""

import re
from pathlib import Path

from regard.contract.names import IMAGE_ENDPOINT, PREPROCESS_STEP


def endpoints_of(name: str) -> tuple[str, str]:
    """The two names that a model is called by: with tensors, and with encoded images."""
    return name, name + IMAGE_ENDPOINT


def parts_of(name: str) -> tuple[str, str, str]:
    """The folders of a model, each after those it needs: in this order they may appear under a server."""
    return name + PREPROCESS_STEP, name, name + IMAGE_ENDPOINT


def model_folders(repository: Path) -> list[Path]:
    """What the server takes for models: every folder, by name."""
    return sorted(path for path in repository.iterdir() if path.is_dir())


def versions_in(folder: Path) -> list[int]:
    """The versions of a model or of one of its parts, rising."""
    return sorted(
        int(path.name) for path in folder.iterdir() if path.is_dir() and re.fullmatch(r"[1-9]\d*", path.name)
    )
