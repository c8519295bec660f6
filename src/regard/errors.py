"""Errors a user can act on: each message names the value, the rule and the next step.

The command line prints them as one line and exits with 1; any other exception is a bug and shows its
traceback.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar

NEAREST = 5  # names that a message suggests
FEW = 12  # names that it lists in full


class RegardError(Exception):
    """Base of every error that regard raises on purpose."""


class InvalidInput(RegardError):
    """A value from the user breaks a rule: an option, an image, a Card, a repository."""


class UnknownName(InvalidInput):
    """A name that no catalog, repository or server knows."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], *, listed_by: str = "") -> "UnknownName":
        """Build the error for `name`: its nearest neighbours among `known`, and all of these where they are
        few.

        listed_by: what lists them all where they are many: a command or a callable.
        """
        known = sorted(known)
        near = get_close_matches(name, known, n=NEAREST)
        hint = f" Did you mean {_either(near)}?" if near else ""
        if len(known) <= FEW:
            rest = f" Known: {', '.join(known) or 'none'}."
        else:
            rest = f" {listed_by} lists all {len(known)}." if listed_by else f" There are {len(known)}."
        return cls(f"no {kind} named {name!r}.{hint}{rest}")


class InvalidWeights(InvalidInput):
    """A checkpoint that cannot be read safely or does not fit its network."""


class ExportError(RegardError):
    """The network could not be turned into a graph, or the graph departs from it."""


class ServerError(RegardError):
    """The embedded server could not start, or died."""


class ServerUnreachable(RegardError):
    """No server answers at the address, or it died before it answered."""


class Unfinished(RegardError):
    """What was answered one by one has ended too early.

    done: what had come: the results that somebody still holds, or the words.
    """

    def __init__(self, message: str, done: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.done = done


class SessionLost(Unfinished):
    """The server has ended a session, has been started again, or does not answer: its state is lost."""


class StreamBroken(Unfinished):
    """An answer that came word by word has broken off."""


class InferenceError(RegardError):
    """The server answered with an error, or not in time.

    code: gRPC's name for the fault, whichever protocol was spoken: INVALID_ARGUMENT, NOT_FOUND,
        DEADLINE_EXCEEDED, ...
    message: the server's own words.
    """

    NEXT_STEP: ClassVar[Mapping[str, str]] = {
        "UNAUTHENTICATED": "give an API key or a token that the server accepts",
        "PERMISSION_DENIED": "give an API key, a token or a certificate that may do this",
    }

    def __init__(self, code: str, message: str, model: str) -> None:
        step = self.NEXT_STEP.get(code)
        super().__init__(
            f"model {model!r}: {code}: {message}"
            if step is None
            else f"model {model!r}: {code}: {message}; {step}"
        )
        self.code = code
        self.message = message
        self.model = model

    def __reduce__(self) -> tuple[type["InferenceError"], tuple[str, str, str]]:
        return InferenceError, (self.code, self.message, self.model)


def _either(names: Sequence[str]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last
