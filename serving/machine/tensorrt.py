"""The TensorRT of this Python."""

from importlib.util import find_spec

from regard.contract.plan import Library
from regard.serving.machine.asking import probe


def version_of(library: Library) -> tuple[str | None, str | None]:
    """A library's version, asked in a process of its own, since it may crash; and why there is none. Both are
    None where it is not installed.
    """
    if find_spec(library) is None:
        return None, None
    facts, answer = probe("tensorrt_facts", library)
    return facts.get("version"), answer.fault
