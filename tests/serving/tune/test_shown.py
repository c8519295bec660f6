"""A tuning as a table and as a picture."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from tests.serving.tune.trials import point, trial

from regard.errors import InvalidInput
from regard.serving.bench.report import machine
from regard.serving.cli.tune_table import tables
from regard.serving.tune.accuracy import Accuracy
from regard.serving.tune.advice import Advice
from regard.serving.tune.picture import figure_of
from regard.serving.tune.setup import Setup
from regard.serving.tune.slo import Slo
from regard.serving.tune.trial import Trial
from regard.serving.tune.tuning import Tuning

BEST = replace(trial(1234, variant="int8"), checks=(point(1234, met=False, tail=900.0), point(1100)))
LEFT = trial(0, capacity=80.0, points=(), searched=False)
TRIALS = [trial(100, instances=2), BEST, trial(50, batching=True), LEFT]


def tuning(trials: list[Trial], **changes: Any) -> Tuning:
    facts: dict[str, Any] = {
        "model": "colour",
        "slo": Slo(99, 50),
        "accuracy": Accuracy("top1", True, {"float32": 0.9, "int8": 0.9}, frozenset({"float32", "int8"})),
        "seconds": 4.0,
        "planned": [one.setup for one in trials],
        "trials": trials,
        "failed": {},
        "stopped": "",
        "advice": Advice(False, ["one image already fills the cores"]),
        "machine": machine(),
        "versions": {},
    }
    return Tuning(**(facts | changes))


def printed(found: Tuning, width: int = 200, *, terminal: bool = False) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, force_terminal=terminal)
    console.print(tables(found))
    return console.export_text()


def test_a_row_for_each_setup_and_what_to_take() -> None:
    text = printed(tuning(TRIALS))
    assert "take int8, 1 instance x 1 thread: 1,100 images a second with p99 = 10.0 ms (100 requests)" in text
    assert "the most of the variants whose top1 is at most 0.005 below the best one's" in text
    assert "batching is not worth it here:\n  - one image already fills the cores" in text
    rows = [line.split() for line in text.splitlines() if line.startswith(("float32", "int8"))]
    assert [row[4] for row in rows] == ["off", "off", "on", "off"]
    assert rows[1][-1] == "take"
    assert "< 80 " in text
    assert "not searched" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_cut_on_a_narrow_terminal(width: int) -> None:
    text = printed(tuning(TRIALS), width, terminal=True)
    assert "1,100" in text
    assert "not searched" in " ".join(text.split())


def test_accuracy_that_was_not_measured_is_marked() -> None:
    values = {"float32": 1.0, "int8": 0.99}
    recorded = Accuracy("agreement with float32", False, values, frozenset(values))
    text = printed(tuning(TRIALS, accuracy=recorded))
    assert "agreement with float32 (recorded)" in text
    assert "each of which passed its proof" in text


def test_what_failed_and_what_was_not_measured_is_said() -> None:
    failed = {Setup("bf16", 1, 1, False): "no room in shared memory"}
    planned = [*(one.setup for one in TRIALS), *failed, Setup("bf16", 2, 1, False)]
    text = printed(tuning(TRIALS, failed=failed, planned=planned, stopped="interrupted"))
    assert "bf16, 1 instance x 1 thread could not be measured: no room in shared memory" in text
    assert "1 of 6 setups were not measured, since it was interrupted" in text


def test_a_miss_that_one_client_alone_would_not_have() -> None:
    text = printed(tuning([trial(0, tail=20.0)]))
    assert "its p99 for one client alone is 20.0 ms, but longer at every rate of arrivals" in text


def test_where_nothing_was_measured() -> None:
    nothing = tuning([], advice=None, planned=[Setup("float32", 1, 1, False)], stopped="interrupted")
    assert "no setup was measured" in printed(nothing)
    with pytest.raises(InvalidInput, match="nothing to draw"):
        figure_of(nothing)


def test_the_picture_shows_every_setup_and_the_limit() -> None:
    figure = figure_of(tuning(TRIALS))
    latency, memory = figure.axes
    labels = latency.get_legend_handles_labels()[1]
    assert labels == [*(str(one.setup) for one in TRIALS), "p99=50ms"]
    assert latency.get_ylim() == (0, 150)
    heights = [y for drawn in latency.collections for _, y in drawn.get_offsets().tolist()]
    assert max(heights) <= 150  # what is far beyond the limit lies at the top
    ringed = [drawn.get_offsets().tolist() for drawn in memory.collections if drawn.get_sizes()[0] > 200]
    assert ringed == [[[1100.0, 100.0]]]
    assert memory.get_xlim()[1] > 1100


def test_one_setup_alone_is_drawn() -> None:
    assert figure_of(tuning([trial(0)])).axes
