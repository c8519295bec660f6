"""Keeping an embedded server answering, and on its repository where it watches that.

Twice a second the server is looked at (health.py). Where something is at fault, the whole server is started
again: Triton does not restart the process of a Python model that died. Where nothing is, a server that
watches takes up what has changed in the repository (control.py).
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from regard.errors import RegardError, ServerError
from regard.serving.protocol.wire import Fault
from regard.serving.triton.health import HealthCheck, Observation
from regard.serving.triton.installation import NoRoom
from regard.serving.triton.orphans import forget_orphans, free_orphans
from regard.serving.triton.server import EmbeddedTriton

ATTEMPTS = 3
LOOK_FOR_ROOM = 0.5  # seconds between looks at shared memory that is full


class Supervisor:
    """Watches one running server and restarts it.

    Args:
        server: started, and stopped by its owner.
        look: seconds between looks at the server.
        update: seconds between looks at the repository.
        canary: seconds between canaries, after which the shared memory of dead clients is freed too.
        report: told in a line what happened.
        observe: told what each look showed, before anything is done about it; what it raises ends the watch.
    """

    def __init__(
        self,
        server: EmbeddedTriton,
        *,
        look: float = 0.5,
        update: float = 1.0,
        canary: float = 10.0,
        report: Callable[[str], None] = lambda line: None,
        observe: Callable[[Observation], None] = lambda seen: None,
    ) -> None:
        self.server = server
        self.look = look
        self.canary = canary
        self.report = report
        self.observe = observe
        self._update_due = _Every(update)
        self._orphans_due = _Every(canary)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set.

        Raises:
            ServerError: the server could not be started again, or a strict one refuses what has changed.
        """
        health = HealthCheck(self.server, canary=self.canary)
        while not stop.wait(self.look):
            seen = health.look()
            self.observe(seen)
            for model, reason in seen.unproven.items():
                self.report(f"{model} is unproven: it has not answered a canary yet ({reason})")
            if seen.fault is not None:
                self.report(f"{seen.fault}; restarting the server")
                self.restart(stop)
                health.restarted()
                continue
            with suppress(Fault):  # the next look tells
                if self.server.watch and self._update_due():
                    self.server.update()
                if self._orphans_due():
                    forget_orphans(self.server.connection)

    def restart(self, stop: threading.Event) -> None:
        """Kill what is left of the server, which is sick, and start it again: after a failure later and
        later, and without room in shared memory as soon as there is some.

        Raises:
            ServerError: it failed ATTEMPTS times.
        """
        started = time.monotonic()
        self.server.stop(grace=0)
        free_orphans()
        failures, waiting = 0, False
        while True:
            try:
                self.server.resume()
                break
            except NoRoom as error:
                pause = LOOK_FOR_ROOM
                if not waiting:
                    self.report(f"the server waits to be started again: {error}")
                waiting = True
            except (RegardError, OSError) as error:
                failures += 1
                if failures == ATTEMPTS:
                    raise ServerError(
                        f"the server could not be started again in {ATTEMPTS} attempts: {error}"
                    ) from None
                self.report(f"attempt {failures} failed: {error}")
                pause = 2.0**failures
            if stop.wait(pause):
                return
        self.report(f"the server is ready again after {time.monotonic() - started:.1f} s")


class _Every:
    """Says once in so many seconds that something is due; the first time when they have passed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._next = time.monotonic() + seconds

    def __call__(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self.seconds
        return True
