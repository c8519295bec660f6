"""Waiting before anything happens: the client's import beyond Python's own start, the catalog's beyond
PyTorch's, and what `regard models` takes. Medians, new processes.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from harness import Figure, run

TIMED = "import time{first}; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
CLIENT = TIMED.format(first="", statement="from regard import Client")
CATALOG = TIMED.format(first=", torch", statement="import regard.models.catalog")
MODELS = "from regard.serving.cli.app import main; main()"


def measure(quick: bool) -> Sequence[Figure]:
    repeats = 1 if quick else 7
    clients, catalogs, commands = [], [], []
    for _ in range(repeats):
        clients.append(float(_python(CLIENT)))
        catalogs.append(float(_python(CATALOG)))
        start = time.perf_counter()
        _python(MODELS, "models")
        commands.append(time.perf_counter() - start)
    figures = (
        ("import of the client, beyond Python's own start", clients, 0.5),
        ("import of the whole catalog, beyond PyTorch's", catalogs, 1.0),
        ("`regard models`", commands, 2.0),
    )
    return [
        Figure(name, statistics.median(seconds), "s", repeats, "processes", target=target)
        for name, seconds, target in figures
    ]


def _python(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", *arguments], check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    run("start_time", "time to import the client and the catalog, and to list the catalog", measure)
