"""The processors of this machine."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# of x86-64 and of ARM, by the kernel's names: those that vision networks are computed with
FEATURES = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve"),
)


@dataclass(frozen=True)
class Processors:
    """usable: how many of them this process may use. features: those of FEATURES that they have."""

    name: str
    architecture: str
    count: int
    usable: int
    features: tuple[str, ...]


def processors(cpuinfo: Path = CPUINFO) -> Processors:
    """Look at the processors; cpuinfo: the kernel's file of them."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return Processors(
        name=fields.get("model name") or platform.machine(),
        architecture=platform.machine(),
        count=os.cpu_count() or 1,
        usable=len(os.sched_getaffinity(0)),
        features=tuple(feature for feature in FEATURES if feature in flags),
    )
