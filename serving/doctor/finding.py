"""What the doctor finds. What is not in order comes with one next step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from regard.errors import RegardError

Status = Literal["ok", "note", "problem"]
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One subject of this machine.

    status: "note" for what regard works without, "problem" for what is asked for here and cannot work.
    next_step: None where all is in order.
    facts: the same for programs, in JSON's types.
    """

    about: str
    status: Status
    says: str
    next_step: str | None = None
    facts: Facts = field(default_factory=dict)


def ok(about: str, says: str, facts: Facts | None = None) -> Finding:
    """All in order."""
    return Finding(about, "ok", says, None, facts or {})


def note(about: str, says: str, next_step: str, facts: Facts | None = None) -> Finding:
    """Something that regard works without."""
    return Finding(about, "note", says, next_step, facts or {})


def problem(about: str, says: str, next_step: str, facts: Facts | None = None) -> Finding:
    """Something that is asked for here and cannot work."""
    return Finding(about, "problem", says, next_step, facts or {})


def not_installed(about: str, lacking: str, extra: str) -> Finding:
    """A part that an extra of the package brings. lacking: what does not work without it."""
    return note(about, f"not installed: {lacking}", f"pip install 'regard[{extra}]'", {"installed": False})


def broken(about: str, module: str, fault: str, *, status: Status = "problem") -> Finding:
    """A library that is installed and cannot be opened. fault: what became of the process that did."""
    step = f"see what python -c 'import {module}' says, and install it again"
    return Finding(about, status, f"is installed and {fault}", step, {"installed": True})


def refused(
    about: str, error: RegardError, *, status: Status = "problem", facts: Facts | None = None
) -> Finding:
    """What an error of regard's own says: the fault, and its next step after a semicolon."""
    says, _, next_step = str(error).partition("; ")
    return Finding(about, status, says, next_step, facts or {})
