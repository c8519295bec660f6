"""The picture of a waterfall: a panel for each load, in which each stage's bar begins where the last ends."""

from pathlib import Path
from typing import TYPE_CHECKING

from regard.errors import InvalidInput
from regard.serving.bench.picture import new_figure, save
from regard.serving.bench.report import Report
from regard.serving.bench.waterfall import STAGES, Waterfall, Where

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: dict[Where, str] = {
    "client": "#2a6f97",
    "wire": "#8d99ae",
    "server": "#e09f3e",
    "process": "#9e2a2b",
}
ROOM = 1.18  # of the longest bar's end, for the figure behind it


def draw_waterfalls(report: Report, path: Path) -> None:
    """Write the picture; the suffix (.png, .svg, .pdf) says as what.

    Raises:
        InvalidInput: there is no waterfall, or the file cannot be written.
    """
    save(waterfall_figure(report), path)


def waterfall_figure(report: Report) -> "Figure":
    """The picture, not yet written.

    Raises:
        InvalidInput: there is no waterfall to draw.
    """
    if not report.waterfalls:
        raise InvalidInput("no request was followed; measure with waterfall=True.")
    rows = [1.6 + 0.28 * len(waterfall.stages) for waterfall in report.waterfalls]
    figure = new_figure(report, sum(rows))
    panels = figure.subplots(len(rows), 1, squeeze=False, gridspec_kw={"height_ratios": rows})[:, 0]
    for axes, waterfall in zip(panels, report.waterfalls, strict=True):
        _draw(axes, waterfall)
    return figure


def _draw(axes: "Axes", waterfall: Waterfall) -> None:
    start, shown = 0.0, set()
    for row, stage in enumerate(waterfall.stages):
        where = STAGES[stage.name][0]
        axes.barh(row, stage.time, left=start, color=COLOURS[where], label=None if where in shown else where)
        shown.add(where)
        start += stage.time
        axes.annotate(
            f"{stage.time:.2f} ms, {waterfall.share(stage)}",
            (start, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.axvline(waterfall.clock, color="black", linestyle=":", label="the client's clock")
    axes.set_yticks(range(len(waterfall.stages)), [stage.name for stage in waterfall.stages])
    axes.invert_yaxis()
    axes.set_xlim(0, ROOM * max(waterfall.sum, waterfall.clock))
    axes.set_xlabel("mean ms since the client began" + _left_out(waterfall))
    axes.set_title(
        f"{waterfall.load}, {waterfall.told}",
        color="black" if waterfall.adds_up else "#9e2a2b",
        fontsize="medium",
    )
    axes.grid(alpha=0.3, axis="x")
    axes.legend(loc="lower left", fontsize="small")


def _left_out(waterfall: Waterfall) -> str:
    return f" (no {', '.join(waterfall.left_out)} of their own)" if waterfall.left_out else ""
