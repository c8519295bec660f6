"""What a benchmark found, as data for machines and as tables for people."""

import json
import math
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table

from regard.serving.bench.compare import Compared
from regard.serving.bench.measure import Level, processors
from regard.serving.bench.statistics import Estimate

PACKAGES = (
    "regard",
    "torch",
    "onnx",
    "onnxruntime",
    "numpy",
    "pillow",
    "tritonclient",
    "grpcio",
    "nvidia-pytriton",
)


@dataclass(frozen=True)
class Report:
    """One run of `regard bench`."""

    model: str
    protocol: str
    endpoint: str
    shared_memory: bool
    batch: int
    images: int
    duration: float
    repeats: int
    levels: tuple[Level, ...]
    compared: tuple[Compared, ...]
    machine: dict[str, Any]
    versions: dict[str, str]

    def to_json(self) -> str:
        """Every figure, with the derived ones; NaN becomes null."""
        fields = asdict(self)
        for entry, level in zip(fields["levels"], self.levels, strict=True):
            entry |= {"rest": level.rest, "client_saturated": level.client_saturated}
            if level.server is not None:
                entry["server"]["other"] = level.server.other
        return json.dumps(_finite(fields), indent=2) + "\n"


def machine() -> dict[str, Any]:
    """The processor, how many of it this process may use, and the memory; nothing that names the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": names[0] if names else platform.machine(),
        "processors": processors(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """The versions of what takes part, as far as it is installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def tables(report: Report) -> RenderableType:
    """The report for a terminal: load, server's times, comparison, and what to mind."""
    parts: list[RenderableType] = []
    if report.levels:
        parts += [_load_table(report), _time_table(report.levels)]
    if report.compared:
        parts.append(compared_table(report.compared))
    parts += [f"[yellow]{note}[/yellow]" for note in notes(report)]
    return Group(*parts)


def notes(report: Report) -> list[str]:
    """What a reader must know before believing the figures."""
    found = []
    for level in report.levels:
        name = _name(level)
        if level.errors:
            kinds = "; ".join(f"{count} x {kind}" for kind, count in level.errors.items())
            found.append(
                f"{name}: {sum(level.errors.values())} requests failed and are in no latency: {kinds}"
            )
        if level.kind == "closed" and not level.steady:
            found.append(
                f"{name}: not steady after {level.warm_up_windows} warm-up windows; measure longer windows"
            )
        if level.kind == "open" and not level.steady:
            found.append(
                f"{name}: not sustained; requests pile up, and latencies depend on how long the run was "
                f"({level.unanswered} unanswered)"
            )
        if level.client_saturated:
            found.append(
                f"{name}: the client kept {level.client_cpu:.2f} processors busy and may be the limit "
                "instead of the server"
            )
    return found + [
        f"{runner.name}: {runner.errors} requests failed" for runner in report.compared if runner.errors
    ]


def _load_table(report: Report) -> Table:
    way = f"{report.protocol}{' with shared memory' if report.shared_memory else ''}"
    level = report.levels[0]
    table = Table(
        Column("load", no_wrap=True),
        *("images/s", "p50 ms", "p90 ms", "p99 ms", "sent", "errors", "CPU"),
        title=(
            f"{report.model}: {way}, {report.endpoint} endpoint, batch {report.batch}, {report.repeats} x "
            f"{report.duration:g} s"
        ),
        caption=f"request {level.request_bytes:,} bytes, response {level.response_bytes:,} bytes\n"
        "± is 95 % over the repeats; CPU is the client's",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for level in report.levels:
        table.add_row(
            _name(level),
            *(show(estimate) for estimate in (level.throughput, level.p50, level.p90, level.p99)),
            f"{level.requests:,}",
            str(sum(level.errors.values()) + level.unanswered),
            f"{level.client_cpu:.2f}",
        )
    return table


def _time_table(levels: Iterable[Level]) -> Table:
    table = Table(
        Column("load", no_wrap=True),
        Column("model", no_wrap=True),
        "queue",
        "input",
        "infer",
        "output",
        "sum",
        title="where a request's time goes: mean ms, by Triton's own statistics",
    )
    for column in table.columns[2:]:
        column.justify = "right"
    for level in levels:
        if level.server is None:
            continue
        for model in level.server.models:
            times = (model.queue, model.compute_input, model.compute_infer, model.compute_output, model.total)
            table.add_row(_name(level), model.model, *(f"{time:.2f}" for time in times))
        table.add_row(_name(level), "rest of the server", "", "", "", "", f"{level.server.other:.2f}")
        table.add_row(_name(level), "wire and client", "", "", "", "", f"{level.rest:.2f}", end_section=True)
    return table


def compared_table(compared: Sequence[Compared]) -> Table:
    """A row for each runner, its name whole in a terminal of any width."""
    table = Table(
        Column("runner", no_wrap=True),
        *("workers", "images/s", "ratio", "p50 ms", "p99 ms", "CPU"),
        title="the same images, interleaved: medians of the rounds",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for runner in compared:
        figures = (runner.throughput, runner.ratio, runner.p50, runner.p99)
        table.add_row(
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
        return _digits(estimate.value)
    return f"{_digits(estimate.value)} ±" + (
        f"{estimate.half_width:,.0f}" if estimate.half_width >= 10 else f"{estimate.half_width:.1g}"
    )


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _name(level: Level) -> str:
    return f"{level.load:g} clients" if level.kind == "closed" else f"{level.load:g} arrivals/s"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
