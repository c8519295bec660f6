"""A colour: a server on the source that colours.json names for it, from one change of that to the next.

A source that cannot be served leaves the colour "failed" until another is wanted, as far as starting it again
would change nothing: where it came a short while ago, so that a bad rollout does not make containers start
for ever, and where each of its models is refused. In all other cases the process ends, and its container's
restart policy acts.
"""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from regard.errors import InvalidInput, RegardError, ServerError
from regard.serving.deploy.colours import folder_of, read_colours
from regard.serving.deploy.supervised.models import Models
from regard.serving.deploy.supervised.status import State, Status
from regard.serving.protocol.wire import Fault
from regard.serving.repository.layout import model_folders
from regard.serving.triton.health import Observation
from regard.serving.triton.memory import server_memory
from regard.serving.triton.server import EmbeddedTriton, EndedWhileLoading
from regard.serving.triton.supervisor import Supervisor

LOOK = 1.0  # seconds between looks at colours.json
PATIENCE = 10.0  # seconds for a server that is loading models to be ready for another source
TRIAL = 600.0  # seconds for which a source is new
MOST_RESTARTS, WINDOW = 5, 300.0  # more in so many seconds are too many
ASKED = 2.0  # seconds for the server's statistics


class NewServer(Protocol):
    """Makes a server for a model repository; it is not yet started."""

    def __call__(self, repository: Path, *, report: Callable[[str], None]) -> EmbeddedTriton:
        """report: as of EmbeddedTriton."""
        ...


class Colour:
    """Serves what is wanted.

    Args:
        name: the colour's.
        deployment: the folder that holds colours.json and the snapshots.
        repository: what the source "repository" means.
        new_server: see there.
        say: told each event in a line.
        canary: seconds between canaries.
    """

    def __init__(
        self,
        name: str,
        *,
        deployment: Path,
        repository: Path,
        new_server: NewServer,
        say: Callable[[str], None],
        canary: float = 10.0,
    ) -> None:
        self.name = name
        self.deployment = deployment
        self.repository = repository
        self.new_server = new_server
        self.say = say
        self.canary = canary
        self._status = Status(name, None, "starting", None, time.time())
        self._server: EmbeddedTriton | None = None
        self._complaint: str | None = None  # about colours.json
        self._restarts: deque[float] = deque(maxlen=MOST_RESTARTS)

    def status(self) -> Status:
        """How it is now, without what needs to be counted; from any thread."""
        return replace(self._status, reason=self._status.reason or self._complaint)

    def measured(self) -> Status:
        """How it is now, with its memory and its requests, for which the server is asked; from any thread."""
        status, server = self.status(), self._server
        if server is None:
            return status
        failures: dict[str, int] = {}
        requests: dict[str, int] = {}
        try:
            memory = server_memory(server.pid)
            for version in server.connection.statistics("", timeout=ASKED):
                name, counted = version["name"], version.get("inference_stats", {})
                for counts, key in ((failures, "fail"), (requests, "success")):
                    counts[name] = counts.get(name, 0) + int(counted.get(key, {}).get("count", 0))
        except (ServerError, Fault, ValueError):  # it is being started or stopped; the last, of its channel
            return status
        return replace(status, memory_bytes=memory, failures=failures, requests=requests)

    def run(self) -> None:
        """Serve until an exception comes, such as that of a signal.

        Raises:
            ServerError: only a new container helps.
        """
        source, since = self._first(), -TRIAL
        while True:
            with self._turn(source) as turn:
                self._serve(source, turn, since)
            source, since = self._wanted(source), time.monotonic()
            self.say(f"the source is {source or 'none'} now")

    def _first(self) -> str | None:
        while True:
            wanted = self._wanted("unknown")
            if self._complaint is None:
                return wanted
            self._become("failed", self._complaint)
            time.sleep(LOOK)

    def _wanted(self, now: str | None) -> str | None:
        """The source; where it cannot be read, what is served now stays."""
        try:
            source = read_colours(self.deployment)[self.name]
        except InvalidInput as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self.say(f"{error}; what is served stays")
            return now
        self._complaint = None
        return source

    @contextmanager
    def _turn(self, source: str | None) -> Iterator[threading.Event]:
        """An event that is set when another source is wanted. Where a server is in the middle of loading its
        models then, which may last, it is killed.
        """
        turn, end = threading.Event(), threading.Event()

        def watch() -> None:
            while not end.wait(LOOK):
                if self._wanted(source) != source:
                    turn.set()
                    if not end.wait(PATIENCE) and (server := self._server) is not None:
                        with suppress(ServerError, ProcessLookupError):  # it has just ended
                            os.kill(server.pid, signal.SIGKILL)

        watching = threading.Thread(target=watch, name="colours.json", daemon=True)
        watching.start()
        try:
            yield turn
        finally:
            end.set()
            watching.join()

    def _serve(self, source: str | None, turn: threading.Event, since: float) -> None:
        """Until it is another's turn."""
        nothing: dict[str, Any] = {"source": source, "models": {}, "triton": None}
        if source is None:
            self._become("idle", None, **nothing)
            turn.wait()
            return
        self._become("starting", None, **nothing)
        try:
            self._keep(folder_of(source, deployment=self.deployment, repository=self.repository), turn)
        except (RegardError, OSError) as error:
            if turn.is_set():
                return
            self._become("failed", str(error))
            if time.monotonic() - since >= TRIAL:
                raise ServerError(f"{source} cannot be served: {error}") from None
            self.say(f"{source} cannot be served: {error}")
            turn.wait()

    def _keep(self, repository: Path, turn: threading.Event) -> None:
        self._server = server = self.new_server(repository, report=self.say)
        models = Models(server)
        self._restarts.clear()

        def observe(seen: Observation) -> None:
            server.bound_log()
            models.seen(seen)
            self._tell(server, models, seen)

        supervisor = Supervisor(server, report=self.say, observe=observe, canary=self.canary)
        try:
            try:
                server.start()
            except EndedWhileLoading as error:
                if turn.is_set():
                    raise
                self.say(f"{error} while it loaded models; starting it again")
                self._become("starting", str(error), restarts=self._status.restarts + 1)
                supervisor.restart(turn)
            self._become("starting", None, triton=server.version)
            observe(Observation(running=True))
            self.say(f"{self._status.state}: {self._status.reason or ', '.join(server.served)}")
            supervisor.run(turn)
        finally:
            server.stop()
            self._server = None

    def _tell(self, server: EmbeddedTriton, models: Models, seen: Observation) -> None:
        now = models.status()
        if seen.fault is not None:
            self._become("restarting", seen.fault, models=now, restarts=self._status.restarts + 1)
            self._count_restart(seen.fault)
        elif server.served:
            self._become("serving", None, models=now)
        elif server.refused:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in server.refused.items())
            self._become("failed", f"no model of {server.repository} can be served: {reasons}", models=now)
        elif _has_models(server.repository):
            self._become("starting", None, models=now)
        else:
            empty = f"{server.repository} holds no model; add one with: regard repo add"
            self._become("idle", empty, models=now)

    def _count_restart(self, fault: str) -> None:
        now = time.monotonic()
        if len(self._restarts) == MOST_RESTARTS and now - self._restarts[0] < WINDOW:
            raise ServerError(
                f"the server needed more than {MOST_RESTARTS} restarts in {WINDOW:g} s; the last: {fault}"
            )
        self._restarts.append(now)

    def _become(self, state: State, reason: str | None, **changes: Any) -> None:
        since = self._status.since if state == self._status.state else time.time()
        self._status = replace(self._status, state=state, reason=reason, since=since, **changes)


def _has_models(repository: Path) -> bool:
    """Whether there are some to be taken up yet."""
    with suppress(OSError):
        return bool(model_folders(repository))
    return False  # out of reach at the moment
