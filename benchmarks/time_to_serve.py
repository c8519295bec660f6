"""Time to serve: to export and certify a network, and from starting a server to its two models being
ready.

The slowest of the repeats is what counts. The first export also pays for importing the exporter.
"""

import tempfile
import time
from pathlib import Path

from harness import Figure, classifier, console, embedded, export, run, segmenter

from regard.serving.repository import add


def measure(quick: bool) -> list[Figure]:
    repeats = 1 if quick else 2
    heavy = classifier("se_resnet18", 64, width=16) if quick else classifier("se_resnet50", 224)
    other = (
        segmenter("fcn_mobilenet_v2", 64, 96, output_stride=16)
        if quick
        else segmenter("ccnet_mobilenet_v2", 360, 480, output_stride=16)
    )
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        exports, artifacts = [], []
        for repeat in range(repeats):
            console.print(f"exporting {heavy[1].name}, {repeat + 1} of {repeats}")
            start = time.perf_counter()
            artifacts.append(export(*heavy, Path(folder, "heavy")))
            exports.append(time.perf_counter() - start)
        repository = Path(folder, "repository")
        add(artifacts[-1], repository)
        add(export(*other, Path(folder, "other")), repository)
        starts = []
        for repeat in range(repeats + 2):
            console.print(f"starting the server, {repeat + 1} of {repeats + 2}")
            server = embedded(repository)
            start = time.perf_counter()
            with server:
                starts.append(time.perf_counter() - start)
    names = f"{heavy[1].name} and {other[1].name}"
    return [
        Figure(
            f"export and certify {heavy[1].name}",
            max(exports),
            "s",
            repeats,
            "exports",
            target=60.0,
            details={"seconds": exports},
        ),
        Figure(
            f"ready server with {names}",
            max(starts),
            "s",
            len(starts),
            "starts",
            target=5.0,
            details={"seconds": starts},
        ),
    ]


if __name__ == "__main__":
    run("time_to_serve", "time to export and certify, and to a ready server", measure)
