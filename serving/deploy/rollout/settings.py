"""How a rollout goes, and what it tells."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from regard.errors import InvalidInput, RegardError
from regard.serving.deploy.rollout.history import Entry
from regard.serving.deploy.rollout.objectives import Objectives


class Refused(RegardError):
    """A new version was not taken up; what served before serves on.

    entry: what the history says of it, where there is one.
    """

    entry: Entry | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How long a new version is tried, and with what.

    Attributes:
        objectives: what it must hold.
        canary: percent of the requests that it gets first, below 50.
        mirror: seconds for which it gets a copy of all requests before it is compared; and while it is.
        watch: seconds for which its failures are watched, as the canary and again with all requests.
        start: seconds that its server may take to start.
        clients: that send the comparison's images at the same time.
        images: a folder of images to compare with, beside the goldens; regard's samples where it is None.
    """

    objectives: Objectives = field(default_factory=Objectives)
    canary: int = 10
    mirror: float = 10.0
    watch: float = 30.0
    start: float = 600.0
    clients: int = 4
    images: Path | None = None

    def __post_init__(self) -> None:
        if not 0 < self.canary < 50:
            raise InvalidInput(f"a canary gets from 1 to 49 percent of the requests, got {self.canary}")
        if not (self.mirror >= 0 and self.watch >= 0 and self.start > 0 and self.clients > 0):
            raise InvalidInput(
                "seconds must not be negative, and there must be a client, got "
                f"mirror {self.mirror:g}, watch {self.watch:g}, start {self.start:g}, clients {self.clients}"
            )


@dataclass(frozen=True)
class Teller:
    """Where a rollout says what it does.

    step: told each step in a line. progress: told what is going on, and the fraction of it that is done.
    """

    step: Callable[[str], None] = lambda line: None
    progress: Callable[[str, float], None] = lambda what, fraction: None
