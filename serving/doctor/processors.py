"""regard itself, the processors and the memory that it may use."""

import platform
from collections.abc import Iterator
from dataclasses import asdict

from regard import __version__
from regard.serving.doctor.finding import Finding, note, ok
from regard.serving.machine.cgroup import limits
from regard.serving.machine.memory import memory
from regard.serving.machine.processors import processors


def regard_itself() -> Iterator[Finding]:
    """Versions of regard, of Python and of the system."""
    system, python = f"{platform.system()} {platform.machine()}", platform.python_version()
    facts = {"version": __version__, "python": python, "system": system}
    yield ok("regard", f"{__version__} on Python {python}, {system}", facts)


def processor() -> Iterator[Finding]:
    """How many processors this process may use, and what they can."""
    found, limit = processors(), limits().processors
    facts = asdict(found) | {"limit": limit}
    says = f"{found.name}, {found.usable} of {found.count} usable"
    says += f": {', '.join(found.features)}" if found.features else ""
    if limit is not None and limit < found.usable:
        yield note(
            "processors",
            f"{says}; a control group allows the time of {limit:g}",
            "allow more, or add models with fewer instances: the default is one for each that is usable",
            facts,
        )
    elif found.architecture == "x86_64" and "avx2" not in found.features:
        yield note(
            "processors",
            f"{says}; no AVX2, so that runtimes compute with narrow vectors",
            "measure with `regard bench` before you promise a latency",
            facts,
        )
    else:
        yield ok("processors", says, facts)


def memory_size() -> Iterator[Finding]:
    """How much memory there is."""
    found, limit = memory(), limits().memory
    if found is None:
        return
    says = f"{gib(found.total)}, {gib(found.available)} available"
    says += f"; a control group allows {gib(limit)}" if limit is not None and limit < found.total else ""
    yield ok("memory", says, asdict(found) | {"limit": limit})


def gib(size: int) -> str:
    """Bytes in words."""
    return f"{size / 2**30:.1f} GiB"
