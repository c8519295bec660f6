"""The picture of a benchmark: throughput and latency against load, a row for each kind of load."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from regard.contract.whole_file import whole_file
from regard.errors import InvalidInput
from regard.serving.bench.measure import Level
from regard.serving.bench.report import Report
from regard.serving.bench.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
AXES = {"closed": "clients", "open": "arrivals a second", "sessions": "sessions"}
PERCENTILES = (("p50", "#2a6f97"), ("p90", "#e09f3e"), ("p99", "#9e2a2b"))


def check_suffix(path: Path) -> None:
    """Refuse a kind of picture we do not write, and a Python that cannot draw: before minutes of measuring.

    Raises:
        InvalidInput: the name ends otherwise.
        ModuleNotFoundError: matplotlib is missing.
    """
    import_module("matplotlib.figure")
    if path.suffix not in SUFFIXES:
        raise InvalidInput(
            f"a picture cannot be written as {path.name!r}; end its name in {', '.join(SUFFIXES)}."
        )


def draw(report: Report, path: Path) -> None:
    """Write the picture; the suffix (.png, .svg, .pdf) says as what.

    Raises:
        InvalidInput: there is nothing to draw, or the file cannot be written.
    """
    save(figure_of(report), path)


def save(figure: "Figure", path: Path) -> None:
    """Write any picture; raises as `draw`."""
    check_suffix(path)
    with whole_file(path) as draft:
        figure.savefig(draft, format=path.suffix.removeprefix("."), dpi=150)


def new_figure(report: Report, height: float) -> "Figure":
    """An empty picture under the report's name, 9 inches wide."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{report.model}: {report.protocol}, {report.endpoint} endpoint, "
        f"{report.machine['processors']} processors"
    )
    return figure


def figure_of(report: Report) -> "Figure":
    """The picture, not yet written.

    Raises:
        InvalidInput: there is nothing to draw.
    """
    kinds = [kind for kind in AXES if any(level.kind == kind for level in report.levels)]
    if not kinds:
        raise InvalidInput("there is no load to draw; measure a number of clients, or a rate of arrivals.")
    figure = new_figure(report, 3.6 * len(kinds))
    for row, kind in enumerate(kinds):
        levels = sorted(
            (level for level in report.levels if level.kind == kind), key=lambda level: level.load
        )
        loads = [level.load for level in levels]
        throughput = figure.add_subplot(len(kinds), 2, 2 * row + 1)
        throughput.errorbar(
            loads,
            *bars([level.throughput for level in levels]),
            marker="o",
            capsize=3,
            color=PERCENTILES[0][1],
        )
        throughput.set(xlabel=AXES[kind], ylabel=f"{report.unit} a second")
        latency = figure.add_subplot(len(kinds), 2, 2 * row + 2)
        for name, colour in PERCENTILES:
            latency.errorbar(
                loads,
                *bars([_estimate(level, name) for level in levels]),
                marker="o",
                capsize=3,
                color=colour,
                label=name,
            )
        latency.set(xlabel=AXES[kind], ylabel="latency in ms")
        for axes in (throughput, latency):
            _mark_unsteady(axes, levels)
            if axes.get_legend_handles_labels()[1]:
                axes.legend()
            axes.set_xticks(loads, [f"{load:g}" for load in loads])
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
    return figure


def _estimate(level: Level, name: str) -> Estimate:
    estimates = {"p50": level.p50, "p90": level.p90, "p99": level.p99}
    return estimates[name]


def bars(estimates: Sequence[Estimate]) -> tuple[list[float], list[list[float]]]:
    """Values, and how far their bars reach down and up; none reaches below zero, where no figure can lie."""
    values = [estimate.value for estimate in estimates]
    up = [estimate.half_width or 0.0 for estimate in estimates]
    return values, [[min(width, value) for width, value in zip(up, values, strict=True)], up]


def _mark_unsteady(axes: "Axes", levels: Sequence[Level]) -> None:
    """A dotted line at each load whose figures are not to be relied on."""
    label = "not sustained" if levels[0].kind == "open" else "not steady"
    for number, level in enumerate(level for level in levels if not level.steady):
        axes.axvline(level.load, color="black", linestyle=":", label=label if number == 0 else None)
