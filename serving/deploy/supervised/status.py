"""How a colour is, as its page /status and its metrics tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["idle", "starting", "serving", "restarting", "failed"]
ModelState = Literal["ok", "unproven", "refused", "failing"]


@dataclass(frozen=True)
class ModelStatus:
    """How a model is, each of its endpoints for itself.

    versions: that answer now, rising.
    state: "refused" where what the source holds of it is not served, or not all of it.
    reason: of any state but "ok".
    answers: whether it answered when it was last asked, by its goldens or a canary; None where it was not
        asked yet, or cannot be.
    goldens: by version, whether it answered its goldens when it was loaded; of those that have some.
    """

    versions: tuple[int, ...]
    state: ModelState
    reason: str | None = None
    answers: bool | None = None
    goldens: Mapping[int, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """How a colour is.

    colour: its name.
    source: what it serves, see colours.py; None where that is nothing.
    state: "failed" is a source that cannot be served, which stays until another one is wanted.
    reason: of a state that needs one; of "serving" too, where something is amiss that does not stop it.
    triton: version of the server, None where none has run yet.
    models: by the name of an endpoint.
    restarts: of the server, since this process began.
    memory_bytes: proportional set size of the server and of the processes that its models live in.
    failures: by model, requests that failed since the server was started.
    requests: by model, requests that were answered since then; goldens and canaries are among them.
    since: when the state began, in seconds since 1970.
    """

    colour: str
    source: str | None
    state: State
    reason: str | None
    since: float
    triton: str | None = None
    models: Mapping[str, ModelStatus] = field(default_factory=dict)
    restarts: int = 0
    memory_bytes: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether it does what is wanted of it."""
        return self.state in ("idle", "serving")
