"""regard: from a trained PyTorch attention model to a measured NVIDIA Triton deployment."""

from importlib import import_module
from typing import TYPE_CHECKING

from regard.errors import (
    ExportError,
    InferenceError,
    InvalidInput,
    InvalidWeights,
    RegardError,
    ServerError,
    ServerUnreachable,
    UnknownName,
)

if TYPE_CHECKING:
    from regard.contract.answers.classes import Classes
    from regard.contract.answers.label_map import LabelMap
    from regard.contract.card import Card, Origin
    from regard.contract.image_input import ImageInput
    from regard.contract.results import Classification, Segmentation
    from regard.serving.client.aio import AsyncClient
    from regard.serving.client.sync import Client

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "Card",
    "Classes",
    "Classification",
    "Client",
    "ExportError",
    "ImageInput",
    "InferenceError",
    "InvalidInput",
    "InvalidWeights",
    "LabelMap",
    "Origin",
    "RegardError",
    "Segmentation",
    "ServerError",
    "ServerUnreachable",
    "UnknownName",
    "__version__",
]

# imported when first asked for, so that `import regard` costs nothing
_LATE = {
    "AsyncClient": "regard.serving.client.aio",
    "Card": "regard.contract.card",
    "Classes": "regard.contract.answers.classes",
    "Classification": "regard.contract.results",
    "Client": "regard.serving.client.sync",
    "ImageInput": "regard.contract.image_input",
    "LabelMap": "regard.contract.answers.label_map",
    "Origin": "regard.contract.card",
    "Segmentation": "regard.contract.results",
}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
