"""Trying a colour with a new version, before it gets the requests and while it gets the first of them."""

import time
from dataclasses import dataclass

from regard.serving.deploy.rollout.gateway import Gateway
from regard.serving.deploy.rollout.settings import Refused, Settings, Teller
from regard.serving.deploy.rollout.snapshots import Snapshot
from regard.serving.deploy.supervised.status import Status
from regard.serving.verify.served import fault_of

LOOK = 0.5  # seconds between looks at a colour
UNPROVEN = 60.0  # seconds in which a model that is loaded must answer its first canary
BUSY = 30.0  # seconds in which a colour must tell its counts
MORE_OFTEN, SOME = 2.0, 3  # than the old version a new one may fail, where live requests make both fail


@dataclass(frozen=True)
class Share:
    """How many of the requests failed."""

    requests: int
    failures: int

    @property
    def rate(self) -> float:
        """As a fraction; 0 of none."""
        return self.failures / self.requests if self.requests else 0.0


class Trial:
    """A snapshot on a colour that does not serve, and the colour that does.

    Args:
        gateway: to ask them through.
        main: the colour that serves.
        colour: the other one.
        snapshot: that it is given.
        settings: how long it is tried.
        tell: told what goes on.

    Every method raises Refused with what speaks against the new version.
    """

    def __init__(
        self, gateway: Gateway, main: str, colour: str, snapshot: Snapshot, settings: Settings, tell: Teller
    ) -> None:
        self.gateway, self.main, self.colour = gateway, main, colour
        self.snapshot, self.settings, self.tell = snapshot, settings, tell
        self._usual = Share(0, 0)  # what of the live requests the old version fails

    def wait(self) -> Status:
        """Until the colour serves the snapshot; all that was well on the other colour is well on this one."""
        start, loaded = time.monotonic(), None
        limit = self.settings.start
        while True:
            waited = time.monotonic() - start
            status = self.gateway.status(self.colour)
            if status.source == self.snapshot.source:
                if status.state == "failed":
                    raise Refused(f"its server does not start: {status.reason or 'it does not say why'}")
                if status.state == "serving":
                    loaded = loaded or time.monotonic()
                    pending = self._pending(status)
                    if pending is None:
                        return status
                    if time.monotonic() - loaded > UNPROVEN:
                        raise Refused(pending)
            if waited > limit:
                raise Refused(f"its server is {status.state} after {limit:g} s")
            self.tell.progress(f"{self.colour} is {status.state}", waited / limit)
            time.sleep(LOOK)

    def verify(self) -> None:
        """Its goldens, at each endpoint, over both protocols."""
        added = self.snapshot.added
        for protocol in ("http", "grpc"):
            connection = self.gateway.connection(self.colour, "grpc" if protocol == "grpc" else "http")
            for number, endpoint in enumerate(added.endpoints):
                self.tell.progress(f"goldens at {endpoint}, {protocol}", number / len(added.endpoints))
                fault = fault_of(connection, self.snapshot.folder, endpoint, [added.version])
                if fault is not None:
                    raise Refused(f"{endpoint} over {protocol}: {fault}")

    def watch(self, what: str, seconds: float, *, beside: str | None) -> Share:
        """Look for so long whether it fails live requests more often than the old version did.

        beside: the colour of the old version, where that gets live requests too.
        """
        start, first = time.monotonic(), self._counted(self.colour)
        usual = None if beside is None else self._counted(beside)
        while True:
            passed = time.monotonic() - start
            now = self._counted(self.colour)
            self._check_alive(first, now)
            if beside is not None and usual is not None:
                self._usual = _share(usual, self._counted(beside))
            found = _share(first, now)
            self._check(found)
            if passed >= seconds:
                return found
            self.tell.progress(what, passed / seconds)
            time.sleep(min(LOOK, max(0.0, seconds - passed)))

    def _counted(self, colour: str) -> Status:
        """Its status with what it counted, which a busy server may not tell at once."""
        end = time.monotonic() + BUSY
        while True:
            status = self.gateway.status(colour)
            if status.memory_bytes or status.state != "serving" or time.monotonic() > end:
                return status
            time.sleep(LOOK)

    def check_alive(self, first: Status) -> Status:
        """Its status, which has not become worse than it was."""
        now = self.gateway.status(self.colour)
        self._check_alive(first, now)
        return now

    def _pending(self, status: Status) -> str | None:
        """What is not as it must be yet; None where all is. Raises Refused for what will not be."""
        added, before = self.snapshot.added, self.gateway.status(self.main)
        well = {name for name, served in before.models.items() if served.state == "ok"}
        for name in [*added.endpoints, *sorted(well - {*added.endpoints})]:
            served = status.models.get(name)
            if served is None:
                return f"{name} is not served"
            if served.state in ("refused", "failing"):
                raise Refused(f"{name} is {served.state}: {served.reason}")
            if served.state != "ok":
                return f"{name} is {served.state}: {served.reason or 'it has not answered yet'}"
            if name in added.endpoints and served.versions != (added.version,):
                return f"{name} serves {served.versions}, not version {added.version}"
        return None

    def _check_alive(self, first: Status, now: Status) -> None:
        if now.source != self.snapshot.source or now.state != "serving":
            raise Refused(f"its server is {now.state}: {now.reason or 'it does not say why'}")
        if now.restarts > first.restarts:
            raise Refused("its server died and had to be started again")
        for name in self.snapshot.added.endpoints:
            served = now.models.get(name)
            if served is None or served.state != "ok":
                state = "not served" if served is None else f"{served.state}: {served.reason}"
                raise Refused(f"{name} is {state}")

    def _check(self, found: Share) -> None:
        allowed = self.settings.objectives.errors * found.requests
        if self._usual.failures:
            allowed += MORE_OFTEN * self._usual.rate * found.requests + SOME
        if found.failures > allowed:
            raise Refused(f"{found.failures} of {found.requests} live requests failed")


def _share(first: Status, now: Status) -> Share:
    """Of all its models, between two looks; none where a server that was started again counts anew."""
    failures = sum(now.failures.values()) - sum(first.failures.values())
    answered = sum(now.requests.values()) - sum(first.requests.values())
    return Share(answered + failures, failures) if min(answered, failures) >= 0 else Share(0, 0)
