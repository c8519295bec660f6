"""A tuning for a terminal."""

from rich.console import Group, RenderableType
from rich.text import Text

from regard.serving.bench.statistics import digits
from regard.serving.cli.evaluate_tables import shown, words
from regard.serving.cli.tables import Table
from regard.serving.evaluate.comparison import TOLERATED
from regard.serving.tune.advice import Advice
from regard.serving.tune.trial import Trial
from regard.serving.tune.tuning import Tuning


def tables(tuning: Tuning) -> RenderableType:
    """A row for each setup, which to take, and whether batching is worth it."""
    parts: list[RenderableType] = [_table(tuning), "", Text(_verdict(tuning), style="bold")]
    if tuning.advice is not None:
        parts += [Text(line) for line in _batching(tuning.advice)]
    notes = [f"{setup} could not be measured: {reason}" for setup, reason in tuning.failed.items()]
    if tuning.stopped:
        left = len(tuning.planned) - len(tuning.trials) - len(tuning.failed)
        why = {"interrupted": "it was interrupted", "budget": "the time was up"}[tuning.stopped]
        notes.append(f"{left} of {len(tuning.planned)} setups were not measured, since {why}")
    return Group(*parts, *(Text(note, style="yellow") for note in notes))


def _table(tuning: Tuning) -> Table:
    accuracy = f"{words(tuning.accuracy.metric)}{'' if tuning.accuracy.measured else ' (recorded)'}"
    tail = tuning.slo.name
    figures = (accuracy, "p50 ms", "p99 ms", "images/s", f"{tail} ms then", "at most", "memory MB")
    table = Table(
        *("variant", "backend", "instances", "threads", "batching", *figures, "front"),
        whole=("variant", "backend"),
        figures=("instances", "threads", *figures),
        title=f"{tuning.model}: arrivals at random, {tuning.slo}, {tuning.seconds:g} s for each figure",
        caption=f"p50 and p99 of one client alone; images/s: the most that met {tuning.slo}, {tail} then\n"
        "at most: images/s when clients only wait for answers; memory: of the whole server\n"
        "front: no other is as good in accuracy, p50, images/s and memory, and better in one",
    )
    leaders = {trial.setup for trial in tuning.front}
    for trial in tuning.trials:
        setup = trial.setup
        chosen = trial is tuning.chosen
        table.add(
            Text(setup.variant, "green" if chosen else ""),
            trial.backend,
            str(setup.instances),
            str(setup.threads),
            "on" if setup.batching else "off",
            shown(trial.accuracy),
            f"{trial.p50:.1f}",
            f"{trial.p99:.1f}",
            _rate(trial),
            f"{trial.best.tail:.1f}" if trial.best else "-",
            digits(trial.capacity),
            f"{trial.memory / 1e6:.0f}",
            "take" if chosen else "yes" if setup in leaders else "no" if trial.searched else "not searched",
        )
    return table


def _rate(trial: Trial) -> str:
    if not trial.searched:
        return f"< {digits(trial.capacity)}"
    return digits(trial.rate) if trial.rate else "none"


def _verdict(tuning: Tuning) -> str:
    chosen, nearest = tuning.chosen, tuning.nearest
    if chosen is not None:
        assert chosen.best is not None
        checked = f"{chosen.best.requests} requests" if chosen.confirmed else "not measured once more"
        accurate = "" if len(set(tuning.accuracy.values)) < 2 else f", the {_accurate(tuning)}"
        return (
            f"take {chosen.setup}: {digits(chosen.rate)} images a second with {tuning.slo.name} = "
            f"{chosen.best.tail:.1f} ms ({checked}){accurate}"
        )
    if nearest is None:
        return "no setup was measured"
    alone = f"its {tuning.slo.name} for one client alone is {nearest.tail:.1f} ms"
    if nearest.tail <= tuning.slo.limit:
        alone += (
            ", but longer at every rate of arrivals that was tried: something else may keep this machine busy"
        )
    return (
        f"no setup meets {tuning.slo}; the nearest is {nearest.setup}: {alone}. Allow more time, or export a "
        "smaller network"
    )


def _accurate(tuning: Tuning) -> str:
    if not tuning.accuracy.measured:
        return "most of the variants, each of which passed its proof"
    return (
        f"most of the variants whose {words(tuning.accuracy.metric)} is at most {TOLERATED} below the best "
        "one's, interval included"
    )


def _batching(advice: Advice) -> list[str]:
    head = "batching is worth it here:" if advice.worth else "batching is not worth it here:"
    return [head, *(f"  - {reason}" for reason in advice.reasons)]
