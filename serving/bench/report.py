"""What a benchmark found: its figures as data, and what to mind before believing them."""

import json
import math
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from regard.serving.bench.compare import Compared
from regard.serving.bench.measure import Level, processors

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
    return found + [
        f"{runner.name}: {runner.errors} requests failed" for runner in report.compared if runner.errors
    ]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
