"""Waiting before anything happens: the catalog's import beyond PyTorch's own, and what `regard models` takes.
Medians, new processes.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from harness import Figure, run

IMPORT = (
    "import time, torch; start = time.perf_counter(); import regard.models.catalog; "
    "print(time.perf_counter() - start)"
)
COMMAND = ("-c", "from regard.serving.cli.app import main; main()", "models")


def measure(quick: bool) -> Sequence[Figure]:
    repeats = 1 if quick else 7
    imports, commands = [], []
    for _ in range(repeats):
        imports.append(
            float(
                subprocess.run(
                    [sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True
                ).stdout
            )
        )
        start = time.perf_counter()
        subprocess.run([sys.executable, *COMMAND], check=True, capture_output=True)
        commands.append(time.perf_counter() - start)
    return [
        Figure(
            "import of the whole catalog, beyond PyTorch's",
            statistics.median(imports),
            "s",
            repeats,
            "processes",
            target=1.0,
        ),
        Figure("`regard models`", statistics.median(commands), "s", repeats, "processes", target=2.0),
    ]


if __name__ == "__main__":
    run("start_time", "time to import the catalog and to list it", measure)
