"""Our load generator against NVIDIA's perf_analyzer: the same server, model, clients and pixels' size, in
turn.

perf_analyzer comes with the wheel of tritonclient 2.49.0, which pip downloads to a temporary folder; two
libraries that it asks for are those of nvidia-pytriton under their plain names. It runs as it is, with random
pixels.
"""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import files
from pathlib import Path
from statistics import median

from harness import Figure, classifier, console, run, served, street

from regard.serving.bench.measure import Settings, closed_loop
from regard.serving.bench.target import find_target
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials

WHEEL = "tritonclient==2.49.0"
LIBRARIES = ("libb64.so.0d", "libcudart.so.12")
WITHIN = 0.10


def install(folder: Path) -> tuple[Path, dict[str, str]]:
    """Fetch perf_analyzer; returns its path and the environment it runs in."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
        WHEEL,
    ]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith("/bin/perf_analyzer"))
        binary = Path(wheel.extract(member, folder))
    binary.chmod(0o755)
    bundled = [
        Path(str(file.locate()))
        for file in files("nvidia-pytriton") or ()
        if file.parts[0] == "nvidia_pytriton.libs"
    ]
    for library in LIBRARIES:  # libb64.so.0d is libb64-<hash>.so.0d there
        stem, _, suffix = library.partition(".")
        shutil.copy(
            next(path for path in bundled if path.name.startswith(f"{stem}-") and f".{suffix}" in path.name),
            folder / library,
        )
    libraries = [str(folder), str(bundled[0].parent), os.environ.get("LD_LIBRARY_PATH", "")]
    return binary, os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries))}


def theirs(
    binary: Path,
    environment: dict[str, str],
    folder: Path,
    model: str,
    url: str,
    clients: int,
    seconds: float,
) -> dict[str, float]:
    """One run: images a second, and the latencies in ms."""
    table = folder / "latest.csv"
    table.unlink(missing_ok=True)
    command = [
        str(binary), "-m", model, "-u", url, "-i", "grpc", "--concurrency-range", str(clients), "-b", "1",
        "-p", str(round(1000 * seconds)), "-s", "50", "-r", "5", "--percentile", "50", "-f", str(table),
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60 + 20 * seconds)
    if done.returncode or not table.exists():
        raise SystemExit(
            f"perf_analyzer failed ({done.returncode}):\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        )
    with table.open(newline="") as stream:
        row = next(csv.DictReader(stream))
    return {
        "images_per_s": float(row["Inferences/Second"]),
        "p50_ms": float(row["p50 latency"]) / 1e3,
        "p99_ms": float(row["p99 latency"]) / 1e3,
    }


def measure(quick: bool) -> list[Figure]:
    seconds, rounds, loads = (1.0, 1, (2,)) if quick else (3.0, 3, (1, 8))
    network = classifier("se_resnet18", 64, width=16) if quick else classifier("se_resnet50", 224)
    name = network[1].name
    figures = []
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as temporary, served(network) as at:
        folder = Path(temporary)
        binary, environment = install(folder)
        connection = connect(address_of(at.server.grpc_url, "grpc"), Credentials())
        target = find_target(
            connection, name, endpoint="tensor", batch=1, images=street(), shared_memory=False
        )
        for clients in loads:
            ours, other = [], []
            for turn in range(rounds):
                console.print(f"{clients} clients, round {turn + 1} of {rounds}")
                ours.append(closed_loop(target, clients, Settings(duration=seconds, repeats=3)))
                other.append(theirs(binary, environment, folder, name, at.server.grpc_url, clients, seconds))
            pairs = {
                "throughput": (
                    [level.throughput.value for level in ours],
                    [run["images_per_s"] for run in other],
                ),
                "p50": ([level.p50.value for level in ours], [run["p50_ms"] for run in other]),
            }
            for figure, (mine, reference) in pairs.items():
                ratio = median(mine) / median(reference)
                figures.append(
                    Figure(
                        f"{name}: {figure} with {clients} clients, our departure from perf_analyzer's",
                        100 * abs(ratio - 1),
                        "%",
                        rounds,
                        "rounds",
                        target=100 * WITHIN,
                        details={"ours": mine, "perf_analyzer": reference, "ratio_of_medians": ratio},
                    )
                )
        connection.close()
    return figures


if __name__ == "__main__":
    run("perf_analyzer", "regard bench against NVIDIA's perf_analyzer", measure)
