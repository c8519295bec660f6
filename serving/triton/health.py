"""The health of a running server: looking at it, which takes real inferences, and what of that is a fault."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from regard.serving.protocol.wire import Fault
from regard.serving.triton.canary import Canaries
from regard.serving.triton.server import EmbeddedTriton


@dataclass(frozen=True)
class Observation:
    """What one look at a server showed.

    running: whether the server's process runs.
    ending: how it ended, as far as it said.
    died: processes of models that are dead for good, each with its model, or "" where that is not known.
    unreachable: why no canary could be sent; None where they could, or none was due.
    unhealthy: models that failed, as only a broken one does, what they answered before; each with the reason.
    unproven: models whose canary never passed, each with the reason; reported once. That is no fault.
    proven: models that have answered a canary and do not fail now; none where none was due.
    """

    running: bool
    ending: str | None = None
    died: Mapping[int, str] = field(default_factory=dict)
    unreachable: str | None = None
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    unproven: Mapping[str, str] = field(default_factory=dict)
    proven: frozenset[str] = frozenset()

    @property
    def fault(self) -> str | None:
        """What only a restart mends; None where nothing is wrong."""
        if not self.running:
            return f"the server {self.ending or 'has ended'}"
        if self.died:
            pid = min(self.died)
            return f"the process of {self.died[pid] or 'a model'} has died (pid {pid})"
        if self.unreachable is not None:
            return f"the server does not answer ({self.unreachable})"
        return "; ".join(f"{model} fails: {reason}" for model, reason in self.unhealthy.items()) or None


class HealthCheck:
    """Looks at a server: at its processes every time, and with a canary to every model (canary.py) when one
    is due.

    Args:
        server: running.
        canary: seconds between canaries; the first are due after as many.
    """

    def __init__(self, server: EmbeddedTriton, *, canary: float) -> None:
        self.server = server
        self.canary = canary
        self._canaries = Canaries(interval=canary)
        self._suspects: frozenset[int] = frozenset()  # dead at the last look
        self._next_canary = time.monotonic() + canary

    def restarted(self) -> None:
        """Begin again with a server that was restarted."""
        self._canaries.restarted()
        self._suspects = frozenset()
        self._next_canary = time.monotonic() + self.canary

    def look(self) -> Observation:
        """Look once. A process counts as dead in the second look in a row that finds it so: one that is being
        unloaded is a zombie for an instant.
        """
        if not self.server.alive:
            return Observation(running=False, ending=self.server.ending)
        dead = self.server.dead_stubs()
        died = {pid: model for pid, model in dead.items() if pid in self._suspects}
        self._suspects = frozenset(dead)
        if died or time.monotonic() < self._next_canary:
            return Observation(running=True, died=died)
        self._next_canary = time.monotonic() + self.canary
        try:
            findings = self._canaries.send(self.server.connection)
        except Fault as fault:
            return Observation(running=True, unreachable=fault.message)
        return Observation(
            running=True,
            unhealthy=findings.unhealthy,
            unproven=findings.unproven,
            proven=findings.proven,
        )
