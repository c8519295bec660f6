"""Keeping an embedded server answering: Triton does not restart the process of a Python model that died.

Every second the server is looked at (health.py). Where something is at fault, the whole server is started
again: only that brings a model back.
"""

import threading
import time
from collections.abc import Callable

from regard.errors import ServerError
from regard.serving.triton.health import HealthCheck
from regard.serving.triton.server import EmbeddedTriton

ATTEMPTS = 3
STOP_GRACE = 3.0  # seconds; what still answers may finish, what is dead never will


class Supervisor:
    """Watches one running server and restarts it.

    Args:
        server: started, and stopped by its owner.
        look: seconds between looks.
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

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set.

        Raises:
            ServerError: the server could not be started again.
        """
        health = HealthCheck(self.server, canary=self.canary)
        while not stop.wait(self.look):
            fault = health.look().fault
            if fault is not None:
                self.report(f"{fault}; restarting the server")
                self.restart(stop)
                health = HealthCheck(self.server, canary=self.canary)

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
        self.report(f"the server is ready again after {time.monotonic() - started:.1f} s")
