"""Whether the gateway has taken up who serves."""

import json
import time
from collections.abc import Callable

from regard.serving.deploy.rollout.gateway import TIMEOUT, Gateway
from regard.serving.deploy.rollout.settings import Refused
from regard.serving.protocol.codec import Message
from regard.serving.protocol.wire import Fault

LIMIT = 10.0  # seconds; it takes up a change at once
IN_A_ROW = 20  # answers; each of its workers takes it up for itself
PAUSE = 0.02


def taken_up(gateway: Gateway, endpoint: str, version: int) -> None:
    """Return when a version alone answers for a model.

    Raises:
        Refused: it does not.
    """
    _wait(gateway, endpoint, lambda versions: versions == [str(version)], f"not by version {version} alone")


def let_go(gateway: Gateway, endpoint: str, version: int) -> None:
    """Return when a version does not answer any more; others may, or none.

    Raises:
        Refused: it still does.
    """
    _wait(gateway, endpoint, lambda versions: str(version) not in versions, f"still by version {version}")


def _wait(gateway: Gateway, endpoint: str, holds: Callable[[list[str]], bool], else_: str) -> None:
    asked = Message(f"/v2/models/{endpoint}", b"", "GET")
    connection, end, row = gateway.connection(None), time.monotonic() + LIMIT, 0
    while row < IN_A_ROW:
        try:
            found = list(json.loads(connection.exchange(asked, timeout=TIMEOUT).body)["versions"])
            settled = holds(found)
        except Fault as fault:
            settled = fault.code == "NOT_FOUND" and holds([])
        row = row + 1 if settled else 0
        if time.monotonic() > end:
            raise Refused(f"after {LIMIT:g} s the gateway answers for {endpoint} {else_}")
        time.sleep(PAUSE)
