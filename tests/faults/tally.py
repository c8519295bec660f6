"""What callers were answered, and what of it is lost.

A call is right, refused with a code that its fault may have, or lost: answered wrongly, refused with another
code, or neither answered nor refused within its deadline.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from regard.errors import InvalidInput, RegardError, ServerUnreachable, UnknownName
from regard.serving.protocol.wire import Fault

RIGHT, REFUSED, LOST = "right", "refused", "lost"
GRACE = 2.0  # seconds after its deadline in which a caller on a busy machine may still hear of it


@dataclass(frozen=True)
class Question:
    """What a caller asks again and again.

    Attributes:
        who: the caller and what it asks, by which the outages are told apart.
        ask: returns an answer, or raises RegardError or Fault.
        right: whether an answer is.
        timeout: seconds, the deadline of one call.
        refusals: the codes that a refusal may have.
    """

    who: str
    ask: Callable[[], Any]
    right: Callable[[Any], bool]
    timeout: float
    refusals: Collection[str] = ()


@dataclass(frozen=True)
class Call:
    """One call. begun, ended: of time.monotonic. said: the code, or what is wrong with it."""

    who: str
    begun: float
    ended: float
    outcome: str
    said: str = ""


def called(question: Question) -> Call:
    """Ask once, and judge."""
    begun = time.monotonic()
    try:
        outcome, said = (RIGHT, "") if question.right(question.ask()) else (LOST, "a wrong answer")
    except (RegardError, Fault) as error:
        code = code_of(error)
        outcome, said = (REFUSED, code) if code in question.refusals else (LOST, f"{code}: {error}")
    except Exception as error:  # a fault of the client: it is no answer
        outcome, said = LOST, f"{type(error).__name__}: {error}"
    ended = time.monotonic()
    if ended - begun > question.timeout + GRACE:
        outcome, said = (
            LOST,
            f"after {ended - begun:.1f} s, with a deadline of {question.timeout:g} s: {said}",
        )
    return Call(question.who, begun, ended, outcome, said)


def code_of(error: RegardError | Fault) -> str:
    """By gRPC's names."""
    if isinstance(error, ServerUnreachable):
        return "UNAVAILABLE"
    if isinstance(error, UnknownName):
        return "NOT_FOUND"
    if isinstance(error, InvalidInput):
        return "INVALID_ARGUMENT"
    code: str = getattr(error, "code", type(error).__name__)
    return code


@dataclass
class Tally:
    """Calls, counted."""

    calls: Sequence[Call] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return len(self.calls)

    @property
    def right(self) -> int:
        return self._count(RIGHT)

    @property
    def refused(self) -> int:
        return self._count(REFUSED)

    @property
    def lost(self) -> int:
        return self._count(LOST)

    def said(self, outcome: str) -> Counter[str]:
        """What was said, with how often, for one outcome."""
        return Counter(call.said for call in self.calls if call.outcome == outcome)

    def outage(self) -> float:
        """The longest time, in seconds, that somebody had no right answer: from one to the next, with all
        that a client waits for of its own accord.
        """
        return max((_longest_gap(calls) for calls in self._by_caller()), default=0.0)

    def slowest(self, outcome: str) -> float:
        """Seconds that the slowest call of an outcome took."""
        return max((call.ended - call.begun for call in self.calls if call.outcome == outcome), default=0.0)

    def _count(self, outcome: str) -> int:
        return sum(call.outcome == outcome for call in self.calls)

    def _by_caller(self) -> Iterable[list[Call]]:
        callers: dict[str, list[Call]] = {}
        for call in sorted(self.calls, key=lambda call: call.ended):
            callers.setdefault(call.who, []).append(call)
        return callers.values()


def _longest_gap(calls: Sequence[Call]) -> float:
    """calls: of one caller, by their ends."""
    moments = [calls[0].begun, *(call.ended for call in calls if call.outcome == RIGHT), calls[-1].ended]
    return max(after - before for before, after in pairwise(moments))
