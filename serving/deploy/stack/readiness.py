"""Waiting until every service of a stack does what it is there for."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from regard.serving.deploy.stack.compose import Compose, Container, StackError

LOOK = 1.0  # seconds between looks
LINES = "5"  # of a service's log, in an error


def wait_until_ready(compose: Compose, *, timeout: float, report: Callable[[str], None]) -> None:
    """Return when all services are healthy, or have done their work.

    Args:
        compose: of a stack that was brought up.
        timeout: seconds.
        report: told every second which services are not ready.

    Raises:
        StackError: one has ended that should not have, or not all are ready in time; with the end of its log.
    """
    services: dict[str, Any] = {
        name: service
        for name, service in compose.config["services"].items()
        if name not in _optional(compose.config["services"])
    }
    end = time.monotonic() + timeout
    while True:
        containers = {container.service: container for container in compose.containers()}
        states = {name: _lacks(services[name], containers.get(name)) for name in services}
        lacking = {name: what for name, what in states.items() if what is not None}
        if not lacking:
            return
        ended = [name for name in lacking if _has_failed(services[name], containers.get(name))]
        if ended or time.monotonic() > end:
            raise _not_ready(compose, lacking, ended or lacking, timeout if not ended else None)
        report("waiting for " + ", ".join(f"{name} ({what})" for name, what in lacking.items()))
        time.sleep(LOOK)


def _optional(services: Mapping[str, Any]) -> set[str]:
    """What others wait for, and start without where it fails."""
    return {
        name
        for service in services.values()
        for name, how in service.get("depends_on", {}).items()
        if not how.get("required", True)
    }


def _lacks(service: Mapping[str, Any], container: Container | None) -> str | None:
    """What is not yet as it should be; None where nothing is."""
    if container is None:
        return "not there"
    if _runs_once(service) and container.state == "exited":
        return None if container.exit_code == 0 else f"ended with code {container.exit_code}"
    if container.state != "running":
        return container.state
    if _runs_once(service):
        return "running"
    return None if container.health in ("", "healthy") else container.health


def _has_failed(service: Mapping[str, Any], container: Container | None) -> bool:
    """Whether waiting changes nothing."""
    return container is not None and _runs_once(service) and container.exit_code != 0


def _runs_once(service: Mapping[str, Any]) -> bool:
    return bool(service.get("restart") == "no")


def _not_ready(
    compose: Compose, lacking: Mapping[str, str], shown: Iterable[str], timeout: float | None
) -> StackError:
    what = ", ".join(f"{name} ({lacks})" for name, lacks in lacking.items())
    logs = [compose.ask("logs", "--no-color", "--no-log-prefix", "--tail", LINES, name) for name in shown]
    said = "; ".join(line.strip() for log in logs for line in log.splitlines() if line.strip())
    late = "" if timeout is None else f" within {timeout:g} s"
    program = " ".join(compose.program)
    return StackError(f"not ready{late}: {what}; see `{program} logs`. The last of it: {said or 'nothing'}")
