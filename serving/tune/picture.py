"""The picture of a tuning: latency against arrivals with the SLO, and throughput against memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regard.contract.whole_file import whole_file
from regard.errors import InvalidInput
from regard.serving.bench.picture import check_suffix
from regard.serving.evaluate.canvas import empty_figure
from regard.serving.tune.setup import Setup
from regard.serving.tune.trial import Trial
from regard.serving.tune.tuning import Tuning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#2a6f97", "#e09f3e", "#9e2a2b", "#6a994e", "#7b2cbf", "#495057")  # of instances and threads
MARKERS = "osDv^P"  # of variants
HEADROOM = 3  # times the SLO's limit, above which nothing is told apart


@dataclass(frozen=True)
class Style:
    """How a setup is drawn: its shares of the cores by colour, its variant by marker, batching dashed."""

    color: str
    marker: str
    linestyle: str


def draw(tuning: Tuning, path: Path) -> None:
    """Write the picture; the suffix (.png, .svg, .pdf) says as what.

    Raises:
        InvalidInput: nothing was measured, or the file cannot be written.
    """
    check_suffix(path)
    figure = figure_of(tuning)
    with whole_file(path) as draft:
        figure.savefig(draft, format=path.suffix.removeprefix("."), dpi=150)


def figure_of(tuning: Tuning) -> "Figure":
    """The picture, not yet written.

    Raises:
        InvalidInput: nothing was measured.
    """
    if not tuning.trials:
        raise InvalidInput("no setup was measured, and there is nothing to draw")
    figure = empty_figure((11, 5), f"{tuning.model}, {tuning.slo}, {tuning.machine['processors']} processors")
    latency, memory = figure.subplots(1, 2)
    styles = _styles([trial.setup for trial in tuning.trials])
    for trial in tuning.trials:
        _curve(latency, trial, styles[trial.setup], tuning)
        _place(memory, trial, styles[trial.setup], tuning)
    latency.axhline(tuning.slo.limit, color="black", linestyle=":", label=str(tuning.slo))
    latency.set(
        xlabel="arrivals a second",
        ylabel=f"{tuning.slo.name} in ms",
        ylim=(0, HEADROOM * tuning.slo.limit),
        title="filled: met, open: missed, large: once more and longer",
    )
    memory.set(
        xlabel=f"images a second within {tuning.slo}",
        ylabel="memory of the server in MB",
        title="filled: no other is better in all, ringed: to be taken",
    )
    memory.set_xlim(right=1.15 * max(1.0, *(_reach(trial) for trial in tuning.trials)))
    for axes in (latency, memory):
        axes.title.set_fontsize(8)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    figure.legend(*latency.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7)
    return figure


def _styles(setups: Sequence[Setup]) -> dict[Setup, Style]:
    shares = [*dict.fromkeys((setup.instances, setup.threads) for setup in setups)]
    variants = [*dict.fromkeys(setup.variant for setup in setups)]
    return {
        setup: Style(
            COLOURS[shares.index((setup.instances, setup.threads)) % len(COLOURS)],
            MARKERS[variants.index(setup.variant) % len(MARKERS)],
            "--" if setup.batching else "-",
        )
        for setup in setups
    }


def _curve(axes: "Axes", trial: Trial, style: Style, tuning: Tuning) -> None:
    """A trial's points; what is far beyond the SLO's limit lies at the top."""
    top = 0.97 * HEADROOM * tuning.slo.limit
    points = sorted(trial.points, key=lambda point: point.rate)
    axes.plot(
        [point.rate for point in points],
        [min(point.tail, top) for point in points],
        **vars(style),
        markersize=0,
        linewidth=2 if trial is tuning.chosen else 0.8,
    )
    axes.plot([], [], **vars(style), linewidth=1, label=str(trial.setup))
    for size, some in ((18, points), (70, trial.checks)):
        axes.scatter(
            [point.rate for point in some],
            [min(point.tail, top) for point in some],
            s=size,
            marker=style.marker,
            edgecolors=style.color,
            facecolors=[style.color if point.met else "white" for point in some],
        )


def _place(axes: "Axes", trial: Trial, style: Style, tuning: Tuning) -> None:
    """Where a trial lies: pale, and at most there, where it was not searched."""
    leads = any(trial is leader for leader in tuning.front)
    rate, memory = _reach(trial), trial.memory / 1e6
    axes.scatter(
        [rate],
        [memory],
        s=45,
        marker=style.marker,
        edgecolors=style.color,
        facecolors=style.color if leads else "white",
        alpha=1 if trial.searched else 0.4,
    )
    if trial is tuning.chosen:
        axes.scatter([rate], [memory], s=220, edgecolors="black", facecolors="none")
    if trial.setup.batching:
        axes.annotate("batching", (rate, memory), xytext=(6, 4), textcoords="offset points", fontsize=6)


def _reach(trial: Trial) -> float:
    return trial.rate if trial.searched else trial.capacity
