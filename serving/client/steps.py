"""What a client's core asks its shell to do: send this, wait so long. It is sent the answer, or thrown the
Fault.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from regard.serving.client.regions import Region
from regard.serving.protocol.wire import Request

T = TypeVar("T")


@dataclass(frozen=True)
class Infer:
    """Send a request, and be sent its Answer."""

    request: Request
    timeout: float

    @property
    def subject(self) -> tuple[str, str]:
        """The model that is asked, and which version of it."""
        return self.request.model, self.request.version


@dataclass(frozen=True)
class ReadConfig:
    """Be sent a model's configuration."""

    model: str
    version: str
    timeout: float

    @property
    def subject(self) -> tuple[str, str]:
        """Likewise."""
        return self.model, self.version


@dataclass(frozen=True)
class ReadIndex:
    """Be sent the repository index."""

    timeout: float


@dataclass(frozen=True)
class Register:
    """Let the server open a shared memory region."""

    region: Region
    timeout: float


@dataclass(frozen=True)
class Unregister:
    """Let the server forget a shared memory region, by its name."""

    region: str
    timeout: float


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


Step: TypeAlias = Infer | ReadConfig | ReadIndex | Register | Unregister | Pause
Steps: TypeAlias = Generator[Step, Any, T]
