"""regard: from a trained PyTorch attention model to a measured NVIDIA Triton deployment."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regard.serving.client.aio import AsyncClient
    from regard.serving.client.sync import Client

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> object:
    """The clients, imported when first asked for, so that `import regard` costs nothing."""
    if name == "Client":
        from regard.serving.client.sync import Client

        return Client
    if name == "AsyncClient":
        from regard.serving.client.aio import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
