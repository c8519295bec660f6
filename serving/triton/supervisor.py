"""Keeping an embedded server answering: Triton does not restart the process of a Python model that died.

Every second the server's process and its models' processes are looked at; every few seconds each model gets a
canary (canary.py). When one of them is dead or its answers say so, the whole server is started again: only
that brings the model back.
"""

import threading
import time
from collections.abc import Callable

from tritonclient.utils import InferenceServerException

from regard.errors import ServerError
from regard.serving.triton.canary import unhealthy_models
from regard.serving.triton.server import EmbeddedTriton

ATTEMPTS = 3
STOP_GRACE = 3.0  # seconds; what still answers may finish, what is dead never will


class Supervisor:
    """Watches one running server and restarts it.

    Args:
        server: started, and stopped by its owner.
        look: seconds between looks at the processes.
        canary: seconds between canaries.
        report: told in a line what happened.
    """

    def __init__(
        self,
        server: EmbeddedTriton,
        *,
        look: float = 1.0,
        canary: float = 10.0,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.server = server
        self.look = look
        self.canary = canary
        self.report = report
        self._suspects: set[int] = set()
        self._next_canary = time.monotonic() + canary

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set.

        Raises:
            ServerError: the server could not be started again.
        """
        while not stop.wait(self.look):
            fault = self.fault()
            if fault is not None:
                self.report(f"{fault}; restarting the server")
                self.restart(stop)

    def fault(self) -> str | None:
        """What is wrong with the server now; None where nothing is."""
        if not self.server.alive:
            return "the server's process has ended"
        dead = set(self.server.dead_stubs())
        # a process being unloaded is a zombie for an instant
        confirmed, self._suspects = dead & self._suspects, dead
        if confirmed:
            return f"a model's process has died (pid {min(confirmed)})"
        if time.monotonic() < self._next_canary:
            return None
        self._next_canary = time.monotonic() + self.canary
        try:
            unhealthy = unhealthy_models(self.server.grpc_url)
        except InferenceServerException as error:
            return f"the server does not answer ({error.message()})"
        return "; ".join(f"{model} fails: {reason}" for model, reason in unhealthy.items()) or None

    def restart(self, stop: threading.Event) -> None:
        """Stop what is left of the server and start it again, waiting longer after each failure.

        Raises:
            ServerError: it failed ATTEMPTS times.
        """
        started = time.monotonic()
        self.server.stop(grace=STOP_GRACE)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.server.start()
            except ServerError as error:
                if attempt == ATTEMPTS:
                    raise ServerError(
                        f"the server could not be started again in {ATTEMPTS} attempts: {error}"
                    ) from None
                self.report(f"attempt {attempt} failed: {error}")
                if stop.wait(2.0**attempt):
                    return
            else:
                break
        self._suspects = set()
        self._next_canary = time.monotonic() + self.canary
        self.report(f"the server is ready again after {time.monotonic() - started:.1f} s")
