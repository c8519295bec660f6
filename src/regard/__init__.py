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
    from regard.contract.card import Card
    from regard.contract.results import Classification, Segmentation
    from regard.serving.client.aio import AsyncClient
    from regard.serving.client.sync import Client

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "Card",
    "Classification",
    "Client",
    "ExportError",
    "InferenceError",
    "InvalidInput",
    "InvalidWeights",
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
    "Classification": "regard.contract.results",
    "Client": "regard.serving.client.sync",
    "Segmentation": "regard.contract.results",
}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
