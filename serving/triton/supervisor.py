"""Keeping an embedded server answering, and on its repository where it watches that.

Every second the server is looked at (health.py). Where something is at fault, the whole server is started
again: Triton does not restart the process of a Python model that died. Where nothing is, a server that
watches takes up what has changed in the repository (control.py).
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from regard.errors import ServerError
from regard.serving.protocol.wire import Fault
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
            ServerError: the server could not be started again, or a strict one refuses what has changed.
        """
        health = HealthCheck(self.server, canary=self.canary)
        while not stop.wait(self.look):
            seen = health.look()
            for model, reason in seen.unproven.items():
                self.report(f"{model} is unproven: it has not answered a canary yet ({reason})")
            if seen.fault is not None:
                self.report(f"{seen.fault}; restarting the server")
                self.restart(stop)
                health.restarted()
            elif self.server.watch:
                with suppress(Fault):  # the next look tells
                    self.server.update()

    def restart(self, stop: threading.Event) -> None:
        """Stop what is left of the server and start it again, waiting longer after each failure.

        Raises:
            ServerError: it failed ATTEMPTS times.
        """
        started = time.monotonic()
        self.server.stop(grace=STOP_GRACE)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.server.resume()
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
