"""What NVIDIA has published of faults in Triton, and which releases have them."""

import re
from dataclasses import dataclass

from regard.errors import InvalidInput
from regard.serving.deploy.tags import PRODUCTION

READ_ON = "2026-11-29"
"""When the newest of NVIDIA's bulletins about Triton that could be read was `FAULTS[-1]`."""


@dataclass(frozen=True)
class Fault:
    """A bulletin of NVIDIA's about Triton.

    names: of its faults, the gravest first; at most five.
    fixed: the first release without all of it. published: of the bulletin.
    critical: whether one of them lets strangers run code or has 9.0 of 10 points or more.
    what: for whom it matters, in a line.
    """

    names: tuple[str, ...]
    fixed: str
    published: str
    critical: bool
    what: str
    source: str


_BULLETIN = "github.com/NVIDIA/product-security, bulletin {}"

FAULTS = (
    Fault(
        ("CVE-2025-23319", "CVE-2025-23310", "CVE-2025-23317", "CVE-2025-23320", "CVE-2025-23334"),
        "25.07",
        "2025-08-06",
        True,
        "code execution by a request to the HTTP server or to the Python backend, through its shared memory",
        "the records of these CVEs, by NVIDIA",
    ),
    Fault(
        ("CVE-2025-23316",),
        "25.08",
        "2025-09-17",
        True,
        "code execution by a model's name in the model control APIs",
        "the record of this CVE, by NVIDIA",
    ),
    Fault(
        ("CVE-2026-24146", "CVE-2026-24147", "CVE-2026-24173", "CVE-2026-24174", "CVE-2026-24175"),
        "26.02",
        "2026-04-07",
        False,
        "a request ends the server",
        _BULLETIN.format(5816),
    ),
    Fault(
        ("CVE-2026-24207", "CVE-2026-24206", "CVE-2026-24208", "CVE-2026-24209", "CVE-2026-24210"),
        "26.03",
        "2026-05-19",
        True,
        "authentication is passed by; code execution",
        _BULLETIN.format(5828),
    ),
    Fault(
        ("CVE-2026-24264", "CVE-2026-24266"),
        "26.04",
        "2026-06-30",
        False,
        "a request ends the server",
        _BULLETIN.format(5848),
    ),
    Fault(
        ("CVE-2026-47476", "CVE-2026-47477", "CVE-2026-47478", "CVE-2026-47479", "CVE-2026-47481"),
        "26.05",
        "2026-07-14",
        False,
        "a request ends the server; authentication is passed by",
        _BULLETIN.format(5853),
    ),
    Fault(
        ("CVE-2026-47627", "CVE-2026-47606", "CVE-2026-47628", "CVE-2026-47629", "CVE-2026-47630"),
        "26.06",
        "2026-08-18",
        True,
        "paths out of their folders, up to code execution; a request ends the server",
        _BULLETIN.format(5865),
    ),
    Fault(
        ("CVE-2026-16497", "CVE-2026-47625"),
        "26.07",
        "2026-09-08",
        False,
        "a request ends the server; what it may do is not checked",
        _BULLETIN.format(5875),
    ),
)  # by date, all that were read but those of parts that the image has no use of here


def faults_of(release: str) -> tuple[Fault, ...]:
    """Those that a release has, as far as they were read.

    Raises:
        InvalidInput: it is no release.
    """
    year, month = _parts(release)
    return tuple(fault for fault in FAULTS if (year, month) < _parts(fault.fixed))


def warning_of(release: str) -> str | None:
    """The critical faults of a release and the way out of them, in a sentence; None where none is known.

    Raises:
        InvalidInput: it is no release.
    """
    critical = [fault for fault in faults_of(release) if fault.critical]
    if not critical:
        return None
    names = [fault.names[0] for fault in critical]
    return (
        f"Triton {release} has faults by which strangers can run code ({', '.join(names)} and others); "
        f"take {critical[-1].fixed} or newer, as {PRODUCTION}"
    )


def _parts(release: str) -> tuple[int, int]:
    if not re.fullmatch(r"[0-9]{2}\.(0[1-9]|1[0-2])", release):
        raise InvalidInput(f"a release of Triton is a year and a month, as in {PRODUCTION}; got {release!r}")
    year, month = release.split(".")
    return int(year), int(month)
