"""Whether the kernels' library that this machine built loads and computes the same in ONNX Runtime 1.19,
which is in NVIDIA's container 24.10: pip installs that version into a virtual environment for the run.

    python benchmarks/container_kernels.py

Every call of tests/export/ops/kernels/cases.py is made in both versions. What this does not show: that the
container's own C and C++ libraries are new enough; it prints which versions of their symbols are asked for.
"""

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np
import onnxruntime
from rich.console import Console

from regard.export.ops.kernels import library

PACKAGES = ("onnxruntime==1.19.2", "onnx", "numpy<2")
ROOT = Path(__file__).parents[1]
ANSWERS = """
import sys
from itertools import product
import numpy as np
from tests.export.ops.kernels.cases import CASES, TYPES, inputs, run, session
np.savez(sys.argv[2], **{
    f"{case}-{dtype}": run(session(case, dtype, sys.argv[1]), inputs(case, dtype))
    for case, dtype in product(CASES, TYPES)
})
"""
console = Console(stderr=True, soft_wrap=True)


def main() -> int:
    """0 where every answer is the same."""
    built = library(report=console.print)
    if built is None:
        return 2
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        console.print(f"installing {PACKAGES[0]} into a virtual environment of its own")
        venv.create(place / "venv", with_pip=True)
        python = place / "venv" / "bin" / "python"
        quiet = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install")
        subprocess.run([python, *quiet, *PACKAGES], check=True)
        for name, interpreter in (("here", Path(sys.executable)), ("there", python)):
            command = [interpreter, "-c", ANSWERS, built, place / f"{name}.npz"]
            subprocess.run(command, check=True, cwd=ROOT)
        here, there = (np.load(place / f"{name}.npz") for name in ("here", "there"))
        different = [
            name for name in here.files if not np.array_equal(here[name], there[name], equal_nan=True)
        ]
    symbols = subprocess.run(["objdump", "-T", built], capture_output=True, text=True, check=True).stdout
    print(f"{built.name} asks for {', '.join(sorted(set(re.findall(r'GLIBC(?:XX)?_[0-9.]+', symbols))))}")
    print(
        f"{len(here.files) - len(different)} of {len(here.files)} calls answer alike in ONNX Runtime "
        f"{onnxruntime.__version__} and in {PACKAGES[0]}"
    )
    for name in different:
        print(f"another answer: {name}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
