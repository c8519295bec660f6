"""What a benchmark found: its figures as data, and what to mind before believing them."""

import json
import math
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from regard.serving.bench.compare import Compared
from regard.serving.bench.measure import Level
from regard.serving.bench.waterfall import TOLERANCE, Waterfall
from regard.serving.machine.processors import processors

PACKAGES = (
    "regard",
    "torch",
    "onnx",
    "onnxruntime",
    "openvino",
    "nncf",
    "numpy",
    "pillow",
    "tritonclient",
    "grpcio",
    "nvidia-pytriton",
)


@dataclass(frozen=True)
class Report:
    """One run of `regard bench`. images: how many different ones were sent, or texts, or frames."""

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
    waterfalls: tuple[Waterfall, ...] = ()
    unit: str = "images"  # what throughput counts

    def to_json(self) -> str:
        """Every figure, with the derived ones; NaN becomes null."""
        fields = asdict(self)
        for entry, level in zip(fields["levels"], self.levels, strict=True):
            entry |= {"rest": level.rest, "client_saturated": level.client_saturated}
            if level.server is not None:
                entry["server"]["other"] = level.server.other
        for entry, waterfall in zip(fields["waterfalls"], self.waterfalls, strict=True):
            entry |= {"sum": waterfall.sum, "apart": waterfall.apart, "adds_up": waterfall.adds_up}
        return json.dumps(_finite(fields), indent=2) + "\n"


def machine() -> dict[str, Any]:
    """The processor, how many of it this process may use, and the memory; nothing that names the machine."""
    found = processors()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": found.name,
        "processors": found.usable,
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


def notes(report: Report) -> list[str]:
    """What a reader must know before believing the figures."""
    found = []
    for level in report.levels:
        name = level.name
        if level.errors:
            kinds = "; ".join(f"{count} x {kind}" for kind, count in level.errors.items())
            found.append(
                f"{name}: {sum(level.errors.values())} requests failed and are in no latency: {kinds}"
            )
        if level.kind != "open" and not level.steady:
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
        if level.server is not None and round(level.server.other, 2) < 0:
            found.append(
                f"{name}: the rest of the server came out at {level.server.other:.2f} ms, below zero, since "
                "Triton's clocks of the parts overlap; take it for none"
            )
        if round(level.rest, 2) < 0:
            found.append(
                f"{name}: wire and client came out at {level.rest:.2f} ms, below zero, since the server's "
                "times count requests that the measured windows cut; measure longer windows"
            )
    for waterfall in report.waterfalls:
        found += [f"{waterfall.load}: {note}" for note in waterfall_notes(waterfall)]
    return found + [
        f"{runner.name}: {runner.errors} requests failed" for runner in report.compared if runner.errors
    ]


def waterfall_notes(waterfall: Waterfall) -> list[str]:
    """The same of a waterfall alone."""
    found = []
    if not waterfall.adds_up:
        found.append(
            f"the stages add up to {waterfall.sum:.2f} ms and the client's clock says {waterfall.clock:.2f}, "
            f"{100 * waterfall.apart:.0f} % apart where {100 * TOLERANCE:.0f} % are allowed: the server's "
            "clocks overlap, or its figures are of other requests, too; take the stages for a hint, or "
            "measure longer windows"
        )
    if waterfall.served > waterfall.requests:
        found.append(
            f"the server's times are means over {waterfall.served} requests, of which {waterfall.requests} "
            "were ours"
        )
    if waterfall.failed:
        found.append(f"{waterfall.failed} requests failed and are in no stage")
    reasons: dict[str, list[str]] = {}
    for stage, reason in waterfall.left_out.items():
        reasons.setdefault(reason, []).append(stage)
    return found + [f"no {', '.join(stages)}: {reason}" for reason, stages in reasons.items()]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
