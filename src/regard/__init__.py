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
    SessionLost,
    StreamBroken,
    Unfinished,
    UnknownName,
)

if TYPE_CHECKING:
    from regard.contract.answers import Classes, ImageAnswer, LabelMap, Points, Sequence
    from regard.contract.card import Card, Origin
    from regard.contract.inputs import FramesInput, ImageInput, TokensInput
    from regard.contract.results import Classification, Pose, Reconstruction, Segmentation, Text, Token
    from regard.contract.state import State, StateTensor
    from regard.serving.client.aio import AsyncClient
    from regard.serving.client.sessions import AsyncSession, Session
    from regard.serving.client.sync import Client

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "AsyncSession",
    "Card",
    "Classes",
    "Classification",
    "Client",
    "ExportError",
    "FramesInput",
    "ImageAnswer",
    "ImageInput",
    "InferenceError",
    "InvalidInput",
    "InvalidWeights",
    "LabelMap",
    "Origin",
    "Points",
    "Pose",
    "Reconstruction",
    "RegardError",
    "Segmentation",
    "Sequence",
    "ServerError",
    "ServerUnreachable",
    "Session",
    "SessionLost",
    "State",
    "StateTensor",
    "StreamBroken",
    "Text",
    "Token",
    "TokensInput",
    "Unfinished",
    "UnknownName",
    "__version__",
]

# imported when first asked for, so that `import regard` costs nothing
_LATE = {
    "AsyncClient": "regard.serving.client.aio",
    "AsyncSession": "regard.serving.client.sessions",
    "Card": "regard.contract.card",
    "Classes": "regard.contract.answers",
    "Classification": "regard.contract.results",
    "Client": "regard.serving.client.sync",
    "FramesInput": "regard.contract.inputs",
    "ImageAnswer": "regard.contract.answers",
    "ImageInput": "regard.contract.inputs",
    "LabelMap": "regard.contract.answers",
    "Origin": "regard.contract.card",
    "Points": "regard.contract.answers",
    "Pose": "regard.contract.results",
    "Reconstruction": "regard.contract.results",
    "Segmentation": "regard.contract.results",
    "Sequence": "regard.contract.answers",
    "Session": "regard.serving.client.sessions",
    "State": "regard.contract.state",
    "StateTensor": "regard.contract.state",
    "Text": "regard.contract.results",
    "Token": "regard.contract.results",
    "TokensInput": "regard.contract.inputs",
}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
