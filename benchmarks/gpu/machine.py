"""Where a result was measured: the GPU and its driver, the processor, what is installed, and the commit."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "triton", "onnxruntime-gpu", "onnxruntime", "tensorrt", "onnx", "numpy")


@cache
def machine(device: torch.device) -> dict[str, Any]:
    """As the other benchmarks record theirs; nothing that names the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = "a rehearsal on a CPU"
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        processor = (
            f"{card.name} (SM {card.major}.{card.minor}, {card.multi_processor_count} multiprocessors, "
            f"{card.total_memory / 2**30:.0f} GiB, driver {_said('nvidia-smi', *DRIVER)})"
        )
    return {
        "processor": processor,
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


DRIVER = ("--query-gpu=driver_version", "--format=csv,noheader")


@cache
def versions(folder: Path) -> dict[str, str]:
    """Of what takes part, as far as it is installed, and of this code."""
    found = {"commit": _said("git", "-C", str(folder), "rev-parse", "--short", "HEAD")}
    found |= {"python": platform.python_version(), "cuda": torch.version.cuda or "none"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _said(*command: str) -> str:
    """What a program prints, in a word; "unknown" where it cannot."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return ran.stdout.split("\n")[0].strip() or "unknown"
