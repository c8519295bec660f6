"""GPUs, as a stand-in of nvidia-smi and one of the driver tell of them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.serving.stand_ins import HANG, Programs

from regard.serving.machine import asking
from regard.serving.machine.gpus import Gpu, Gpus, gpus

# NVIDIA's driver, as far as it is asked; FIRST is what cuInit gives
DRIVER = """
#include <stddef.h>
#include <string.h>
int cuInit(unsigned flags) { return FIRST; }
int cuGetErrorName(int code, const char **name) { *name = "CUDA_ERROR_UNKNOWN"; return 0; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Stand-in", size); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = 1L << 33; return 0; }
int cuDeviceGetAttribute(int *value, int which, int device) { *value = which == 75 ? 8 : 6; return 0; }
"""


def test_nvidia_smi_lists_them(programs: Programs) -> None:
    programs(
        nvidia_smi=(
            'test "$1" = --query-gpu=name,compute_cap,memory.total,driver_version || exit 2\n'
            'echo "Stand-in A, 8.6, 24564, 550.54.15"; echo "Stand-in B, 9.0, [N/A], 550.54.15"'
        )
    )
    assert gpus() == Gpus(
        (Gpu("Stand-in A", "8.6", 24564 * 2**20), Gpu("Stand-in B", "9.0", None)), driver="550.54.15"
    )


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 'No devices were found'; exit 6", Gpus()),
        (
            'echo "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver."; exit 9',
            Gpus(
                fault="nvidia-smi ended with code 9: NVIDIA-SMI has failed because it couldn't communicate "
                "with the NVIDIA driver."
            ),
        ),
        ("kill -SEGV $$", Gpus(fault="nvidia-smi was ended by signal 11 (Segmentation fault)")),
        ("echo what", Gpus(fault="nvidia-smi answered 'what'")),
    ],
)
def test_nvidia_smi_lists_none(programs: Programs, script: str, found: Gpus) -> None:
    programs(nvidia_smi=script)
    assert gpus() == found


def test_nvidia_smi_hangs(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SECONDS", 0.5)
    programs(nvidia_smi=HANG)
    assert gpus() == Gpus(fault="nvidia-smi gave no answer within 0.5 s")


def driver(folder: Path, monkeypatch: pytest.MonkeyPatch, *, first: int) -> None:
    """A driver's library that processes of their own find first."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for a stand-in of the driver")
    (folder / "cuda.c").write_text(DRIVER.replace("FIRST", str(first)))
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", folder / "libcuda.so.1", folder / "cuda.c"], check=True
    )
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))


def test_the_driver_is_asked_where_nvidia_smi_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    driver(tmp_path, monkeypatch, first=0)
    programs: Programs = request.getfixturevalue("programs")  # takes the compiler off PATH
    programs(nvidia_smi="echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2")
    assert gpus() == Gpus((Gpu("Stand-in", "8.6", 2**33),), cuda="12.4")


@pytest.mark.parametrize(
    ("first", "found"),
    [
        (100, Gpus(cuda="12.4")),
        (999, Gpus(fault="NVIDIA's driver ended with code 1: CUDA_ERROR_UNKNOWN (999)")),
    ],
)
def test_the_driver_gives_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    first: int,
    found: Gpus,
) -> None:
    driver(tmp_path, monkeypatch, first=first)
    request.getfixturevalue("programs")
    assert gpus() == found
