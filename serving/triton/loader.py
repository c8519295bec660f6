"""Loading and unloading models of a running server, and the reason when it refuses, in its own words."""

import re
from dataclasses import dataclass, field

from google.protobuf.json_format import MessageToJson
from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.serving.protocol.connection import Connection
from regard.serving.protocol.wire import Fault
from regard.serving.triton.log import ServerLog

TIMEOUT = 600.0  # seconds for one model; large ones on slow disks take their time
_ABOUT = re.compile(r"^(load failed for|failed to load) (model )?'[^']*'(: |, )")
_VERSION = re.compile(r"version (\d+) is at UNAVAILABLE state: (.*?);?\s*(?=version \d+ is at|$)", re.DOTALL)
_TRACEBACK = "\n\nAt:"  # as the Python backend writes it; our backends' messages stand for themselves
_DIED = re.compile(r"Stub process '[^']*' is not healthy\.?")
_DIED_IN_WORDS = "its process ended while it was loaded: it crashed, or was killed for want of memory"
NOT_READ = "failed to poll from model repository"  # the reason is in the log alone


@dataclass(frozen=True)
class Loader:
    """One run of a server. Both methods raise Fault where it does not answer.

    notices: what our backends told of how they compute a model, by its name.
    """

    connection: Connection
    log: ServerLog
    notices: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def load(self, model: str, config: ModelConfig) -> str | None:
        """Load a model by this configuration; the reason where it cannot be, and then what was loaded of it
        before answers on.
        """
        start = self.log.end()
        text = MessageToJson(config, preserving_proto_field_name=True)
        try:
            self.connection.load(model, text, timeout=TIMEOUT)
        except Fault as fault:
            if not fault.answered:
                raise
            if fault.code == "DEADLINE_EXCEEDED":
                return f"it was not loaded after {TIMEOUT:g} s"
            if NOT_READ in fault.message:
                return self.log.refusal(model, start) or fault.message
            return in_short(fault.message)
        self.notices[model] = self.log.notices(model, start)
        return None

    def unload(self, model: str) -> None:
        """Begin to unload a model; requests in flight finish."""
        try:
            self.connection.unload(model, timeout=TIMEOUT)
        except Fault as fault:
            if not fault.answered:
                raise


def in_short(message: str) -> str:
    """Triton's reason for a failed load, without the names that the reader knows and the tracebacks."""
    message = _ABOUT.sub("", message)
    reasons = {version: _plain(reason) for version, reason in _VERSION.findall(message)}
    if len(set(reasons.values())) < 2:
        return next(iter(reasons.values()), _plain(message))
    return "; ".join(f"version {version}: {reason}" for version, reason in reasons.items())


def _plain(reason: str) -> str:
    reason = reason.split(_TRACEBACK)[0].strip(" ;\n")
    reason = reason.removeprefix("Internal: ").removeprefix("TritonModelException: ")
    return _DIED.sub(_DIED_IN_WORDS, reason)
