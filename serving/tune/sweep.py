"""Every setup in turn, then the choice once more, until the choice is one that was confirmed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from regard.errors import RegardError, ServerError
from regard.serving.tune.accuracy import Accuracy
from regard.serving.tune.candidates import Candidate
from regard.serving.tune.measure import CONFIRMING, STEPS, Conditions, Report, confirm, try_out
from regard.serving.tune.setup import Setup
from regard.serving.tune.trial import Trial, choice, dominates

Stopped = Literal["", "interrupted", "budget"]
START = 5.0  # seconds until a server has answered


@dataclass(frozen=True)
class Listener:
    """Who is told what happens.

    Attributes:
        watch: how much of the work is done, 0 to 1; what is measured; and the step that begins.
        say: in a line, what is to be known before and beside the figures.
    """

    watch: Callable[[float, str, str], None] = lambda done, what, step: None
    say: Report = lambda line: None


class Sweep:
    """The setups that are measured, and what was found of them so far.

    Attributes:
        trials: in their order.
        failed: the setups that could not be measured, each with the reason.
    """

    def __init__(
        self,
        candidates: Mapping[str, Candidate],
        conditions: Conditions,
        accuracy: Accuracy,
        listener: Listener,
    ) -> None:
        self.candidates = candidates
        self.conditions = conditions
        self.accuracy = accuracy
        self.listener = listener
        self.trials: dict[Setup, Trial] = {}
        self.failed: dict[Setup, str] = {}

    def run(self, planned: Sequence[Setup], deadline: float) -> Stopped:
        """Measure the setups; returns why not all were, or "". A KeyboardInterrupt ends it, and what was
        found until then stays.

        deadline: of time.monotonic, after which no other setup is begun.

        Raises:
            ServerError: none of them could be measured.
        """
        stopped: Stopped = ""
        try:
            for number, setup in enumerate(planned):
                if time.monotonic() > deadline:
                    stopped = "budget"
                    break
                self._try(setup, number / (len(planned) + 1), 1 / (len(planned) + 1))
            if self.failed and not self.trials:
                raise ServerError(f"no setup could be measured: {next(iter(self.failed.values()))}")
            while (unsure := self._unsure()) is not None:
                if unsure.searched:
                    self._confirm(unsure, len(planned) / (len(planned) + 1))
                else:
                    self._try(unsure.setup, len(planned) / (len(planned) + 1), 0)
        except KeyboardInterrupt:
            return "interrupted"
        return stopped

    def _unsure(self) -> Trial | None:
        """What is to be measured once more: a setup that was left unsearched for another's sake, whose rate
        did not hold then; or else the choice, unless it was confirmed.
        """
        trials = [*self.trials.values()]
        for trial in trials:
            if not trial.searched and not any(dominates(one, trial, rate=trial.capacity) for one in trials):
                return trial
        best = choice(trials)
        return None if best is None or best.confirmed else best

    def _try(self, setup: Setup, done: float, share: float) -> None:
        steps = count()

        def report(step: str) -> None:
            self.listener.watch(done + share * min(next(steps) / STEPS, 1), str(setup), step)

        candidate, rivals = self.candidates[setup.variant], [*self.trials.values()]
        try:
            self.trials[setup] = try_out(candidate, setup, self.conditions, self.accuracy, rivals, report)
        except RegardError as error:
            self._fail(setup, error)

    def _confirm(self, trial: Trial, done: float) -> None:
        setup = trial.setup

        def report(step: str) -> None:
            self.listener.watch(done, f"once more: {setup}", step)

        try:
            self.trials[setup] = confirm(self.candidates[setup.variant], trial, self.conditions, report)
        except RegardError as error:
            self._fail(setup, error)

    def _fail(self, setup: Setup, error: RegardError) -> None:
        self.trials.pop(setup, None)  # of an earlier measurement
        self.failed[setup] = str(error)
        self.listener.say(f"{setup}: {error}")


def longest(setups: int, seconds: float) -> float:
    """Seconds that measuring so many setups takes on a quiet machine; early stops make it less.

    seconds: of one measurement.
    """
    point = 1.25 * seconds
    return setups * (START + (STEPS - 1) * point) + START + CONFIRMING * point
