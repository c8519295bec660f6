"""The report of a benchmark for a terminal."""

import math
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from regard.serving.bench.compare import Compared
from regard.serving.bench.measure import Level
from regard.serving.bench.report import Report, notes
from regard.serving.bench.statistics import Estimate, digits
from regard.serving.bench.waterfall import STAGES, Waterfall
from regard.serving.cli.tables import Table


def tables(report: Report) -> RenderableType:
    """The report for a terminal: load, server's times, comparison, and what to mind."""
    parts: list[RenderableType] = []
    if report.levels:
        parts += [_load_table(report), "", _time_table(report.levels), ""]
    for waterfall in report.waterfalls:
        parts += [waterfall_table(waterfall), ""]
    if report.compared:
        parts += [compared_table(report.compared), ""]
    return Group(*parts, *(Text(note, style="yellow") for note in notes(report)))


def _load_table(report: Report) -> Table:
    way = f"{report.protocol}{' with shared memory' if report.shared_memory else ''}"
    level = report.levels[0]
    figures = (f"{report.unit}/s", "p50 ms", "p90 ms", "p99 ms", "sent", "errors", "CPU")
    table = Table(
        "load",
        *figures,
        whole=("load",),
        figures=figures,
        title=(
            f"{report.model}: {way}, {report.endpoint} endpoint, batch {report.batch}, {report.repeats} x "
            f"{report.duration:g} s"
        ),
        caption=f"request {level.request_bytes:,} bytes, response {level.response_bytes:,} bytes\n"
        "± is 95 % over the repeats; CPU is the client's",
    )
    for level in report.levels:
        table.add(
            level.name,
            *(show(estimate) for estimate in (level.throughput, level.p50, level.p90, level.p99)),
            f"{level.requests:,}",
            str(sum(level.errors.values()) + level.unanswered),
            f"{level.client_cpu:.2f}",
        )
    return table


def _time_table(levels: Iterable[Level]) -> Table:
    table = Table(
        *("load", "model", "queue", "input", "infer", "output", "sum"),
        whole=("load", "model"),
        figures=("queue", "input", "infer", "output", "sum"),
        title="where a request's time goes: mean ms, by Triton's own statistics",
    )
    for level in levels:
        if level.server is None:
            continue
        for model in level.server.models:
            times = (model.queue, model.compute_input, model.compute_infer, model.compute_output, model.total)
            table.add(level.name, model.model, *map(_milliseconds, times))
        table.add(level.name, "rest of the server", "", "", "", "", _milliseconds(level.server.other))
        table.add(level.name, "wire and client", "", "", "", "", _milliseconds(level.rest))
    return table


def waterfall_table(waterfall: Waterfall) -> Table:
    """A row for each stage."""
    table = Table(
        *("stage", "ms", "share", "what it is"),
        whole=("stage",),
        figures=("ms", "share"),
        title=f"a request from the wire to the network and back, {waterfall.load}: mean ms",
        caption=waterfall.told,
    )
    for stage in waterfall.stages:
        table.add(
            stage.name,
            _milliseconds(stage.time),
            waterfall.share(stage),
            STAGES[stage.name][1],
        )
    return table


def compared_table(compared: Sequence[Compared]) -> Table:
    """A row for each runner."""
    table = Table(
        *("runner", "workers", "images/s", "ratio", "p50 ms", "p99 ms", "CPU"),
        whole=("runner",),
        figures=("workers", "images/s", "ratio", "p50 ms", "p99 ms", "CPU"),
        title="the same images, interleaved: medians of the rounds",
    )
    for runner in compared:
        figures = (runner.throughput, runner.ratio, runner.p50, runner.p99)
        table.add(
            runner.name,
            str(runner.workers),
            *(show(figure) for figure in figures),
            f"{runner.client_cpu:.2f}",
        )
    return table


def show(estimate: Estimate) -> str:
    """Three significant digits and the half width."""
    if math.isnan(estimate.value):
        return "-"
    if estimate.half_width is None:
        return digits(estimate.value)
    return f"{digits(estimate.value)} ±" + (
        f"{estimate.half_width:,.0f}" if estimate.half_width >= 10 else f"{estimate.half_width:.1g}"
    )


def _milliseconds(time: float) -> str:
    return f"{round(time, 2) + 0.0:.2f}"  # without the sign of a zero
