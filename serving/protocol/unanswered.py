"""Why no server answered: what sockets, TLS and gRPC say about it, as a Fault that names the next step.

Both protocols come through here, so that the same mishap has the same words. What would fail again is a
FAILED_PRECONDITION, which nobody retries; the rest is UNAVAILABLE.
"""

import os
import re
import socket
import ssl

from regard.serving.protocol.address import Address
from regard.serving.protocol.proxies import Proxy
from regard.serving.protocol.wire import Fault

_UNTRUSTED = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|Hostname Verification|not in peer certificate", re.IGNORECASE
)
_NOT_ENCRYPTED = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE", re.IGNORECASE)
_REFUSED_CERTIFICATE = re.compile(
    r"ALERT.(CERTIFICATE|BAD.CERTIFICATE|UNKNOWN.CA)|CERTIFICATE.REQUIRED|TSI_DATA_CORRUPTED", re.IGNORECASE
)
_CLOSED = re.compile(
    r"closed|reset|broken pipe|EOF occurred|disconnected|GOAWAY|endpoint|incomplete|not completed",
    re.IGNORECASE,
)
NOT_HTTP = "its answer is not HTTP"
_REASON = re.compile(r"CERTIFICATE_VERIFY_FAILED\]?:? ?(?:certificate verify failed: )?(?P<reason>[^(:]+)")


def unanswered(text: str, address: Address, proxy: Proxy | None) -> Fault:
    """The fault for what a library said about a connection."""
    other = f"{address.protocol}{'' if address.encrypted else 's'}://"
    if address.encrypted and _UNTRUSTED.search(text):
        reason = _REASON.search(text)
        return _lasting(
            f"its certificate is not trusted: {reason['reason'].strip(' .') if reason else text}",
            "Give the file of the CA that signed it (ca), or the host name that it was made for.",
        )
    if address.encrypted and _NOT_ENCRYPTED.search(text):
        return _lasting(
            "it does not encrypt", f"Write {other}{address.authority}{address.path}, or the port that does."
        )
    if address.encrypted and _REFUSED_CERTIFICATE.search(text):
        return _lasting(
            "it accepts no client without a certificate that it trusts",
            "Give the client's certificate and private key (certificate, key).",
        )
    text = text.rpartition(": ")[2].rstrip("]")  # gRPC tells the whole story, and the cause last
    if proxy is not None:
        return Fault(
            "UNAVAILABLE",
            f"{text}, through the proxy {proxy.authority}",
            answered=False,
            next_step="See whether that proxy of the environment leads there, or list the host in no_proxy.",
        )
    if _CLOSED.search(text) or text == NOT_HTTP:
        asks = ", or a client certificate (certificate, key)" if address.encrypted else ""
        return Fault(
            "UNAVAILABLE",
            text if text == NOT_HTTP else "it closed the connection without an answer",
            answered=False,
            next_step=f"See whether it still runs, and whether it wants {other}{asks}, or another protocol.",
        )
    return Fault("UNAVAILABLE", text, answered=False)


def words_of(error: BaseException) -> str:
    """What an exception of a socket says, without its numbers and addresses."""
    if isinstance(error, OSError) and not isinstance(error, (ssl.SSLError, socket.gaierror)):
        number = error.errno
        if number is not None and number > 0:
            return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _lasting(message: str, next_step: str) -> Fault:
    return Fault("FAILED_PRECONDITION", message, answered=False, next_step=next_step)
