"""The time line of each fault: right answers a second, others, and what happened when."""

from collections.abc import Sequence
from pathlib import Path

from tests.faults.run import BIN, Result

from regard.serving.bench.picture import save

COLUMNS = 3
RIGHT, OTHER, EVENT = "#2a6f97", "#9e2a2b", "#e09f3e"


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the picture; the suffix says as what."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(results) // COLUMNS)
    figure = Figure(figsize=(11, 1.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, result in enumerate(results):
        axes = figure.add_subplot(rows, COLUMNS, place + 1)
        moments = [BIN * index for index in range(len(result.bins))]
        axes.step(moments, [right / BIN for right, _ in result.bins], where="post", color=RIGHT)
        axes.step(moments, [other / BIN for _, other in result.bins], where="post", color=OTHER)
        for moment, _ in result.events:
            axes.axvline(moment, color=EVENT, linestyle=":")
        axes.set_title(f"{result.where}: {result.name}", fontsize=7)
        axes.set_xlim(0, result.seconds)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=7)
    figure.supylabel("standing callers: right answers a second (blue), lost (red)", fontsize=8)
    figure.supxlabel("seconds; dotted: the events of the table", fontsize=8)
    save(figure, path)
