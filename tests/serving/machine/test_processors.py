"""Processors and memory, as the kernel's files tell."""

import os
import platform
from pathlib import Path

from regard.serving.machine.memory import Memory, memory
from regard.serving.machine.processors import processors


def test_of_x86(tmp_path: Path) -> None:
    core = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu avx2 avx512_vnni amx_bf16 bogus\n\n"
    (tmp_path / "cpuinfo").write_text(core * 2)
    found = processors(tmp_path / "cpuinfo")
    assert (found.name, found.features) == ("Xeon", ("avx2", "avx512_vnni", "amx_bf16"))
    assert found.usable == len(os.sched_getaffinity(0)) <= found.count


def test_of_arm(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd i8mm bf16\nCPU part\t: 0xd40\n")
    found = processors(tmp_path / "cpuinfo")
    assert (found.name, found.features) == (platform.machine(), ("asimd", "i8mm", "bf16"))


def test_untold(tmp_path: Path) -> None:
    assert processors(tmp_path / "nothing").features == ()
    assert memory(tmp_path / "nothing") is None


def test_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:  1024 kB\n")
    assert memory(tmp_path / "meminfo") == Memory(2**21, 2**20)
