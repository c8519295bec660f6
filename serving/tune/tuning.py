"""What tuning found."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from regard.serving.evaluate.evaluation import finite
from regard.serving.tune.accuracy import Accuracy
from regard.serving.tune.advice import Advice
from regard.serving.tune.setup import Setup
from regard.serving.tune.slo import Slo
from regard.serving.tune.sweep import Stopped
from regard.serving.tune.trial import Trial, choice, front, nearest


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The setups that were measured on this machine.

    Attributes:
        seconds: of one measurement.
        planned: setups to try; more than `trials` and `failed` where it was stopped.
        failed: the setups that could not be served, each with the reason.
        stopped: why not all were tried.
        advice: on batching; None where nothing was measured.
    """

    model: str
    slo: Slo
    accuracy: Accuracy
    seconds: float
    planned: Sequence[Setup]
    trials: Sequence[Trial]
    failed: Mapping[Setup, str]
    stopped: Stopped
    advice: Advice | None
    machine: Mapping[str, Any]
    versions: Mapping[str, str]

    @cached_property
    def chosen(self) -> Trial | None:
        """What to take; None where no setup meets the SLO."""
        return choice(self.trials)

    @cached_property
    def nearest(self) -> Trial | None:
        """The setup that misses the SLO by least, where none meets it."""
        return nearest(self.trials) if self.trials and self.chosen is None else None

    @cached_property
    def front(self) -> Sequence[Trial]:
        """Those that no other one dominates."""
        return front(self.trials)

    def to_json(self) -> str:
        """All of it as an indented JSON text; null for what is not known."""
        facts = {
            "model": self.model,
            "slo": str(self.slo),
            "accuracy": {"metric": self.accuracy.metric, "measured": self.accuracy.measured},
            "seconds": self.seconds,
            "planned": len(self.planned),
            "stopped": self.stopped or None,
            "chosen": self.chosen and vars(self.chosen.setup),
            "nearest": self.nearest and vars(self.nearest.setup),
            "front": [vars(trial.setup) for trial in self.front],
            "trials": [trial.facts() for trial in self.trials],
            "failed": [{"setup": vars(setup), "reason": reason} for setup, reason in self.failed.items()],
            "batching": self.advice and {"worth": self.advice.worth, "reasons": [*self.advice.reasons]},
            "machine": self.machine,
            "versions": self.versions,
        }
        return json.dumps(finite(facts), indent=2, allow_nan=False) + "\n"
