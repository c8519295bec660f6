"""A server that runs elsewhere or in containers: whether it is reached and lets us in, and what it serves."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from regard.serving.deploy.colours import COLOURS
from regard.serving.deploy.published_faults import warning_of
from regard.serving.deploy.rollout.gateway import COLOUR_HEADER, STATUS
from regard.serving.deploy.tags import TAGS
from regard.serving.doctor.finding import Finding, note, ok, problem
from regard.serving.protocol.address import Address
from regard.serving.protocol.connect import connect
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.tls import tls_context
from regard.serving.protocol.wire import Fault

TIMEOUT = 10.0  # seconds for each question
RENEWED = 30  # days before its end at which the service `keys` renews a certificate


def examine_deployed(address: Address, credentials: Credentials, repository: Path | None) -> list[Finding]:
    """Ask a server, through the gateway before it if there is one.

    Args:
        address: of either protocol; with TLS both are at the gateway's one port.
        credentials: a client's; the operator's see more.
        repository: whose models are asked for.

    Raises:
        InvalidInput: credentials that cannot be used at the address.
    """
    if address.encrypted:
        address = replace(address, protocol="http")
    return [*_examined(address, credentials, repository)]


def _examined(address: Address, credentials: Credentials, repository: Path | None) -> Iterator[Finding]:
    connection = connect(address, credentials)
    try:
        ready = _server(connection)
        yield ready
        if address.encrypted and ready.facts["reached"]:
            yield _certificate(address, credentials)
        if not ready.facts["let_in"]:
            return
        yield from _triton(connection)
        yield from _colours(address, credentials)
        if repository is not None:
            yield from _models(connection, repository)
    finally:
        connection.close()


def _server(connection: Connection) -> Finding:
    about, facts = "server", {"address": connection.address.url, "reached": True, "let_in": True}
    try:
        ready = connection.ready(timeout=TIMEOUT)
    except Fault as fault:
        if not fault.answered:
            facts |= {"reached": False, "let_in": False}
            return problem(
                about, f"{connection.address} is not reached: {fault.message}", fault.next_step, facts
            )
        if fault.code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
            step = "give an API key or a token that it accepts"
            says = f"{connection.address} answers and does not let us in: {fault.message}"
            return problem(about, says, step, facts | {"let_in": False})
        ready = False
    if ready:
        return ok(about, f"{connection.address} is ready, and lets us in", facts)
    return problem(about, f"{connection.address} lets us in and is not ready", "see its log", facts)


def _certificate(address: Address, credentials: Credentials) -> Finding:
    """How long the server's is good; it was found to be good when the server was reached."""
    context = tls_context(address, credentials)
    assert context is not None
    about = "certificate"
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as encrypted,
        ):
            shown: Any = encrypted.getpeercert()
    except OSError as error:
        return note(about, f"cannot be looked at: {error}", "see whether a proxy is in between")
    days = int((ssl.cert_time_to_seconds(shown["notAfter"]) - time.time()) // 86400)
    says, facts = f"good for {days} days", {"days": days}
    if days >= RENEWED:
        return ok(about, says, facts)
    return note(about, says, "renew it: docker compose run --rm keys", facts)


def _triton(connection: Connection) -> Iterator[Finding]:
    try:
        version = connection.server(timeout=TIMEOUT)
    except Fault as fault:
        yield note("Triton", f"does not tell its version: {fault.message}", "see its log")
        return
    release = next((name for name, tag in TAGS.items() if tag.server.value == version), None)
    facts = {"version": version, "release": release}
    if release is None:
        yield ok("Triton", f"{version}, of a release that our table does not know by its server", facts)
        return
    warning = warning_of(release)
    says = f"{version}, which is release {release}"
    if warning is None:
        yield ok("Triton", says, facts)
    else:
        what, _, step = warning.partition("; ")
        yield note("Triton", f"{says}. {what}", step, facts)


def _colours(address: Address, credentials: Credentials) -> Iterator[Finding]:
    """What each of the two servers says of itself; nothing where there is no gateway."""
    if address.protocol != "http":
        return
    for colour in COLOURS:
        about = f"colour {colour}"
        connection = connect(address, replace(credentials, headers={COLOUR_HEADER: colour}))
        try:
            status = json.loads(connection.exchange(STATUS, timeout=TIMEOUT).body)
        except Fault as fault:
            if fault.code == "PERMISSION_DENIED":
                yield note(
                    "colours",
                    "are told to the operator alone",
                    "give its key: deployment/client/operator_key",
                )
                return
            if fault.code == "NOT_FOUND":  # no gateway of ours
                return
            yield problem(about, f"does not say how it is: {fault.message}", "see its container's log")
        else:
            yield _colour(about, status)
        finally:
            connection.close()


def _colour(about: str, status: dict[str, Any]) -> Finding:
    models = status["models"]
    says = f"{status['state']}" + (f" on {status['source']}" if status["source"] else "")
    if models:
        says += ": " + ", ".join(
            f"{name} {'+'.join(map(str, model['versions'])) or model['state']}"
            for name, model in models.items()
        )
    amiss = [
        f"{name}: {model['reason']}"
        for name, model in models.items()
        if model["state"] in ("refused", "failing")
    ]
    if status["state"] in ("failed", "restarting") or amiss:
        why = "; ".join(filter(None, [status["reason"], *amiss]))
        return problem(about, f"{says}. {why}", "see its container's log", status)
    if status["state"] == "idle" and status["reason"]:  # not on purpose
        what, _, step = status["reason"].partition("; ")
        return note(about, f"idle: {what}", step or "see its container's log", status)
    return ok(about, says, status)


def _models(connection: Connection, repository: Path) -> Iterator[Finding]:
    """Whether what lies in a repository here answers there."""
    from regard.serving.repository.listing import listing  # needs onnx, which a client may lack

    for entry in listing(repository):
        about, versions = f"model {entry.name}", dict[str, list[int]]()
        try:
            for endpoint in entry.endpoints:
                versions[endpoint] = connection.versions(endpoint, timeout=TIMEOUT)
        except Fault as fault:
            yield problem(about, f"does not answer: {fault.message}", "see the server's log")
            continue
        says = ", ".join(f"{endpoint} {'+'.join(map(str, each))}" for endpoint, each in versions.items())
        yield ok(about, f"is served: {says}", {"versions": versions})
