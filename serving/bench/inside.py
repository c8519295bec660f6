"""What a model's process tells of the stages that Triton counts as one, `infer`: its counters, read from the
server's metrics as Prometheus reads them.
"""

import re
import time
from dataclasses import dataclass

from regard.serving.bench.target import Target
from regard.serving.protocol.address import Address, address_of
from regard.serving.protocol.codec import Message
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault
from regard.serving.triton.backends.regard_image.stages import REQUESTS, SECONDS, STAGES

PORT = 8002  # Triton's own for metrics
PATH = "/metrics"
TIMEOUT = 5.0  # seconds for one reading
COUNTED = 5.0  # seconds until requests must be counted
_LINE = re.compile(rf"^(?P<name>{SECONDS}|{REQUESTS}){{(?P<labels>[^}}]*)}} (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Reading:
    """The counters of an endpoint, all its versions together."""

    requests: float
    seconds: dict[str, float]


def metrics_of(server: Address, written: str | None) -> Address:
    """Where a server's metrics are: what is written, with the path or without, or else Triton's usual port of
    the same host.

    Raises:
        InvalidInput: what is written is no address of HTTP.
    """
    if written is None:
        return Address("http", server.host, PORT)
    return address_of(written.removesuffix(PATH), "http")


class Inside:
    """The counters of a target's endpoint, from now on.

    Attributes:
        why: there are none to be had; None where there are.
    """

    def __init__(self, target: Target, metrics: Address) -> None:
        self._endpoint, self._metrics = target.name, metrics
        self.why: str | None = None
        if target.endpoint == "tensor":
            self.why = "pixels were sent: nothing is decoded or fitted, and the handover is within infer"
        elif target.steps:
            self.why = (
                "within infer: the endpoint is an ensemble of an earlier regard; `regard repo renew` makes "
                "one process of it"
            )
        self._last = self._read()

    def means(self, requests: int) -> dict[str, float] | None:
        """Mean milliseconds in each stage, of the requests since the last call, once so many are counted;
        None where they are not to be had.
        """
        deadline = time.monotonic() + COUNTED
        while (last := self._last) is not None and (now := self._read()) is not None:
            counted = now.requests - last.requests
            if counted >= requests:
                self._last = now
                return {stage: 1e3 * (now.seconds[stage] - last.seconds[stage]) / counted for stage in STAGES}
            if time.monotonic() > deadline:
                self._last = None
                self.why = (
                    f"within infer: {self._metrics.authority} counts {counted:.0f} of {requests} requests; "
                    "the server's regard is an earlier one, or these are another server's metrics"
                )
            time.sleep(0.05)
        return None

    def _read(self) -> Reading | None:
        if self.why is not None:
            return None
        connection = connect(self._metrics, Credentials())
        try:
            page = connection.exchange(Message(PATH, b"", "GET"), timeout=TIMEOUT)
        except Fault as fault:
            self.why = f"within infer: no metrics at {self._metrics.authority} ({fault.message})"
            return None
        finally:
            connection.close()
        return reading_in(page.body.decode(errors="replace"), self._endpoint)


def reading_in(page: str, endpoint: str) -> Reading:
    """The counters in the text that Prometheus reads; 0 of those that it does not hold."""
    requests, seconds = 0.0, dict.fromkeys(STAGES, 0.0)
    for line in _LINE.finditer(page):
        labels, value = dict(_LABEL.findall(line["labels"])), float(line["value"])
        if labels.get("model") != endpoint:
            continue
        if line["name"] == REQUESTS:
            requests += value
        elif labels.get("stage") in seconds:
            seconds[labels["stage"]] += value
    return Reading(requests, seconds)
