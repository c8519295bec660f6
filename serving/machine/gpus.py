"""The NVIDIA GPUs of this machine, as nvidia-smi tells, or the driver where that is missing or too old.

Other modules ask for other ends: pci.py what is plugged in, though no driver runs it; export/tensorrt/cuda.py
the GPU that this process is about to compute on.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from regard.serving.machine.asking import ask, probe

FIELDS = ("name", "compute_cap", "memory.total", "driver_version")
QUERY = ("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")
UNKNOWN_FIELD = "is not a valid field"  # of a driver older than `compute_cap`
NONE_FOUND = "No devices were found"
SIGNS = ("/dev/nvidia0", "/proc/driver/nvidia")  # either is there where a driver runs a GPU


@dataclass(frozen=True)
class Gpu:
    """name: NVIDIA's. compute_capability: as in 8.6. memory: bytes in all; None where it is not told."""

    name: str
    compute_capability: str
    memory: int | None


@dataclass(frozen=True)
class Gpus:
    """The GPUs, the driver's version and the newest CUDA that it runs, as far as they were told.

    fault: why there may be others; None where there are none.
    """

    found: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    fault: str | None = None


def has_nvidia_gpu() -> bool:
    """Whether a driver runs an NVIDIA GPU here, by its files alone: for defaults, which must not wait for
    other programs.
    """
    return any(Path(sign).exists() for sign in SIGNS)


def gpus() -> Gpus:
    """Ask for the GPUs and what they are, in other processes, each of which may take seconds."""
    answer = ask(*QUERY)
    said = answer.output + answer.errors
    if NONE_FOUND in said:
        return Gpus()
    if answer.missing or UNKNOWN_FIELD in said:
        return _by_driver()
    if answer.fault is not None:
        return Gpus(fault=f"nvidia-smi {answer.fault}")
    lines = csv.reader(answer.output.splitlines(), skipinitialspace=True)
    rows = [row for row in lines if len(row) == len(FIELDS)]
    if not rows:
        return Gpus(fault=f"nvidia-smi answered {answer.output.strip()[:80]!r}")
    found = tuple(
        Gpu(name, capability, int(memory) * 2**20 if memory.isdigit() else None)  # [N/A] for a part of a GPU
        for name, capability, memory, _ in rows
    )
    return Gpus(found, driver=rows[0][-1])


def _by_driver() -> Gpus:
    facts, answer = probe("cuda_facts")
    if answer.fault is not None:
        return Gpus(fault=f"NVIDIA's driver {answer.fault}")
    return Gpus(tuple(Gpu(**each) for each in facts["gpus"]), cuda=facts["cuda"])
