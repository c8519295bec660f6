"""Whether it is worth it to compute requests that wait together, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from regard.serving.bench.statistics import digits
from regard.serving.tune.batch_gain import WORTH, BatchGain
from regard.serving.tune.setup import Setup
from regard.serving.tune.trial import STEP, Trial


@dataclass(frozen=True)
class Advice:
    """On batching, for one setup; each reason is a sentence with its figures."""

    worth: bool
    reasons: Sequence[str]


def advise(trial: Trial, gain: BatchGain | None, trials: Sequence[Trial]) -> Advice:
    """Advice for a trial's variant, instances and threads.

    gain: of its variant with as many threads; None where its server works on each request by itself.
    trials: all; where both ways were measured, that decides.
    """
    if gain is None:
        return Advice(False, [f"the variant {trial.setup.variant} is served each request by itself"])
    if not trial.rate:
        return Advice(
            False, [_gain(gain), "no rate of arrivals keeps the SLO, and batches only delay requests"]
        )
    others = trial.rate / trial.setup.instances * trial.p50 / 1000
    reasons = [_gain(gain), _arrivals(trial, others), _delay(trial.rate, gain)]
    pair = _both_ways(trial.setup, trials)
    if pair is None:
        return Advice(gain.factor >= WORTH and others >= 1, reasons)
    alone, together = pair
    reasons.append(
        f"measured: {digits(together.rate)} images a second with batching, {digits(alone.rate)} without it"
    )
    return Advice(together.rate > (1 + STEP) * alone.rate, reasons)


def _gain(gain: BatchGain) -> str:
    threads = "1 thread" if gain.threads == 1 else f"{gain.threads} threads"
    found = (
        f"{gain.size} images at once take {gain.batch / gain.one:.1f} x the time of one with {threads}, "
        f"which is {gain.factor:.2f} x as many images a second"
    )
    return found if gain.factor >= WORTH else f"{found}: one image already fills the cores it has"


def _arrivals(trial: Trial, others: float) -> str:
    found = (
        f"at {digits(trial.rate)} arrivals a second {others:.1f} others come to an instance while it "
        f"answers one ({trial.p50:.1f} ms)"
    )
    return found if others >= 1 else f"{found}: arrivals are too rare to find another waiting"


def _delay(rate: float, gain: BatchGain) -> str:
    delay = 1e3 * (gain.size - 1) / rate
    saved = 1e3 * gain.saved
    found = f"to wait until {gain.size} have arrived takes {delay:.1f} ms, and "
    if saved <= 0:
        return f"{found}saves nothing: a queue delay only adds to the latency"
    found += f"saves {saved:.1f} ms an image"
    return found if delay <= saved else f"{found}: a queue delay costs more than it gains"


def _both_ways(setup: Setup, trials: Sequence[Trial]) -> tuple[Trial, Trial] | None:
    """The trials of a setup without and with batching, where both met the SLO."""

    def same(trial: Trial) -> bool:
        mine = trial.setup
        return (mine.variant, mine.instances, mine.threads) == (setup.variant, setup.instances, setup.threads)

    found = {trial.setup.batching: trial for trial in trials if trial.rate and same(trial)}
    return (found[False], found[True]) if len(found) == 2 else None
