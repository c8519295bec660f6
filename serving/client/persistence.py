"""One call to the server, and again where that may help, until the deadline.

Only what has answered this client before is waited for: a server that is not there, such as at a wrong
address, is given up after `Retry.unmet` seconds, and a model that was never there at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from regard.serving.client.retry import Retry, passing
from regard.serving.client.steps import Infer, Pause, ReadConfig, Steps
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.wire import Answer, Fault, Request

Question = Infer | ReadConfig  # to one version of one model


@dataclass
class Persistence:
    """One client's patience. Safe to use from several threads."""

    retry: Retry
    _met: set[tuple[str, str]] = field(default_factory=set)

    def met(self, model: str, version: str) -> bool:
        """Whether the model has answered before."""
        return (model, version) in self._met

    def once(self, question: Question) -> Steps[Any]:
        """Ask once; raises Fault."""
        if question.timeout <= 0:
            raise Fault("DEADLINE_EXCEEDED", "no time is left")
        answer = yield question
        self._met.add(question.subject)
        return answer

    def ask(self, question: Callable[[float], Question], deadline: Deadline) -> Steps[Any]:
        """Ask, by a question that is given the seconds that are left; raises the last attempt's Fault."""
        pauses = self.retry.pauses()
        # of the time, what is not spent on a server that nobody has met
        spared = 0.0 if self._met else max(0.0, deadline.remaining() - self.retry.unmet)
        while True:
            asked = question(deadline.remaining())
            try:
                return (yield from self.once(asked))
            except Fault as fault:
                pause = next(pauses)
                left = deadline.remaining() - spared
                # an attempt takes time as well
                if not passing(fault, met=self.met(*asked.subject)) or left < 2 * pause:
                    raise
                yield Pause(pause)
                if deadline.remaining() <= 0:  # it took longer: the reason is still this one
                    raise

    def infer(self, request: Request, deadline: Deadline) -> Steps[Answer]:
        """Send a request; raises Fault."""
        answer: Answer = yield from self.ask(lambda timeout: Infer(request, timeout), deadline)
        return answer
