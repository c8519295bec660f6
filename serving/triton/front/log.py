"""What a front writes to the server's log: a caller's fault in one line, anything else with its traceback."""

import logging
import re

from aiohttp.http_exceptions import HttpProcessingError

HTTP_2 = "Pause on PRI"  # said of the word that its connections begin with, and so gRPC's
GRPC = (
    "a gRPC client spoke to the HTTP port; let it speak to the port of gRPC, by default 8001, or speak HTTP"
)
_SENT = re.compile(r":?\s+b['\"].*", re.DOTALL)  # it may be a secret


class OneLine(logging.Formatter):
    """Says of bad HTTP, and of a request that breaks off, what it was and from where."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            reason = GRPC if error.message.startswith(HTTP_2) else f"bad HTTP, {_reason(error.message)}"
        elif isinstance(error, ConnectionError):
            reason = "it broke off before it had arrived"
        else:
            return super().format(record)
        return f"{record.getMessage()}: {reason}"


def log_in_one_line() -> None:
    """Send this process's log to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(handlers=[handler])


def _reason(message: str) -> str:
    """What the parser says, without what was sent."""
    return " ".join(_SENT.sub("", message).split())
