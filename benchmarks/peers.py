"""The endpoint for image files beside what one would use instead: FastAPI and LitServe apps of a few lines,
and ONNX Runtime in this process, with 1, 4 and 16 clients. docs/peers.md says what is fair about it.

The same JPEGs of 640 x 480, graph, decoding, processors and memory settings, all in turn within one run. Each
server has as many workers as there are processors, of one compute thread each, and so has this process. The
peers take HTTP and ours gRPC, one image a request. Before anything is measured, all must give the same
answers.
"""

import io
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
from harness import Figure, classifier, console, export, mean_colour, run, street
from peer_servers import PEERS, Server, ours, theirs
from PIL import Image

from regard.export.artifact import Artifact
from regard.serving.bench.baseline import onnxruntime_step
from regard.serving.bench.compare import Compared, Runner, compare, in_process
from regard.serving.bench.measure import processors
from regard.serving.bench.statistics import half_width
from regard.serving.triton.installation import MALLOC
from regard.serving.triton.memory import server_memory

CLIENTS = {1: "1 client", 4: "4 clients", 16: "16 clients"}
IN_PROCESS, OURS, NAMES = "in process", "ours", tuple(peer.name for peer in PEERS)
THROUGHPUT = {  # of ours: at least so many times that of the other
    ("se_resnet50", IN_PROCESS): 0.95,
    ("se_resnet50", "FastAPI"): 1.0,
    ("se_resnet50", "LitServe"): 1.0,
    ("mean_colour", "FastAPI"): 1.1,
}
P99 = {"se_resnet50": 1.05}  # of ours: at most so many times the best peer's
MEMORY = {"se_resnet50": 1.3}  # of ours: at most so many times the leanest peer's
ADDED = 1.0  # ms, at most


@dataclass(frozen=True)
class Found:
    """Of one graph: the runners' figures by the number of clients, and the servers' memory in MB."""

    name: str
    compared: Mapping[int, Mapping[str, Compared]]
    memory: Mapping[str, float]


def found_of(artifact: Artifact, pythons: Mapping[str, Path], duration: float, rounds: int) -> Found:
    """All servers on the artifact's graph, in turn.

    pythons: of the peers' environments.
    """
    name, images = artifact.card.name, photographs()
    step = onnxruntime_step(artifact.model, artifact.card)
    compared = {}
    with ExitStack() as stack:
        servers = {
            peer.name: stack.enter_context(theirs(peer, pythons[peer.name], artifact, images))
            for peer in PEERS
        }
        servers[OURS] = stack.enter_context(ours(artifact, images))
        check_same(name, images, lambda image: step([image]), servers)
        for count, clients in CLIENTS.items():
            console.print(f"{name}: {clients}")
            bodies = [[image] for image in images]
            runners = [in_process(IN_PROCESS, step, bodies, min(count, processors()), batch=1)]
            runners += [Runner(each, server.clients(count), 1) for each, server in servers.items()]
            measured = compare(runners, reference=OURS, duration=duration, rounds=rounds)
            failed = [f"{each.name}: {each.errors}" for each in measured if each.errors]
            if failed:
                sys.exit(f"{name}, {clients}: requests failed ({', '.join(failed)})")
            compared[count] = {each.name: each for each in measured}
        memory = {each: server_memory(server.pid) / 1e6 for each, server in servers.items()}
    return Found(name, compared, memory)


def check_same(
    name: str,
    images: Sequence[bytes],
    answer: Callable[[bytes], npt.NDArray[np.float32]],
    servers: Mapping[str, Server],
) -> None:
    """End where a server answers otherwise than this process."""
    for image in images:
        for each, server in servers.items():
            if not np.allclose(answer(image).ravel(), server.answer(image).ravel(), atol=1e-5):
                sys.exit(f"{name}: {each} answers otherwise than the graph in this process")


def ratios(found: Found, count: int) -> list[Figure]:
    """Ours over the others, with so many clients."""
    runners, name = found.compared[count], f"{found.name}, {CLIENTS[count]}"
    figures = [
        Figure(
            f"{name}: throughput over that of {other}",
            1 / runners[other].ratio.value,  # the median of the rounds' own, theirs over ours
            "",
            runners[other].ratio.n,
            "rounds",
            target=THROUGHPUT.get((found.name, other)),
            better="at least",
        )
        for other in (IN_PROCESS, *NAMES)
    ]
    best = min(NAMES, key=lambda peer: runners[peer].p99.value)
    p99 = runners[OURS].p99
    ratio = p99.value / runners[best].p99.value
    target = P99.get(found.name)
    return [
        *figures,
        Figure(f"{name}: p99 over the best peer's ({best})", ratio, "", p99.n, "requests", target=target),
    ]


def added_latency(found: Found) -> Figure:
    """What ours adds to decoding and running in this process, for one client."""
    alone = found.compared[1]
    pairs = zip(alone[OURS].rounds_p50, alone[IN_PROCESS].rounds_p50, strict=True)
    added = [mine - bare for mine, bare in pairs]
    return Figure(
        f"{found.name}, 1 client: p50 beyond that in process",
        median(added),
        "ms",
        len(added),
        "rounds",
        target=ADDED,
        half_width=half_width(added),
    )


def memory(found: Found, packages: Mapping[str, str]) -> list[Figure]:
    """Of each server and all its processes, after the load."""
    leanest = min(NAMES, key=lambda peer: found.memory[peer])
    ratio = found.memory[OURS] / found.memory[leanest]
    name, target = f"{found.name}: memory over the leanest peer's ({leanest})", MEMORY.get(found.name)
    figures = [Figure(name, ratio, "", 1, "run", target=target, details={"versions": dict(packages)})]
    return figures + [
        Figure(f"{found.name}: memory of {each}", megabytes, "MB", 1, "run")
        for each, megabytes in found.memory.items()
    ]


def alone(found: Found) -> list[Figure]:
    """Each runner for itself."""
    return [
        Figure(
            f"{found.name}, {CLIENTS[count]}: {each.name} "
            f"(p50 {each.p50.value:.3g} ms, p99 {each.p99.value:.3g} ms)",
            each.throughput.value,
            "images/s",
            each.throughput.n,
            "rounds",
            better="at least",
            half_width=each.throughput.half_width,
            details=asdict(each),
        )
        for count, runners in found.compared.items()
        for each in runners.values()
    ]


def photographs() -> list[bytes]:
    """JPEG files of 640 x 480 pixels."""
    files = []
    for scene in street():
        file = io.BytesIO()
        Image.open(io.BytesIO(scene)).resize((640, 480)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def measure(quick: bool) -> list[Figure]:
    duration, rounds = (1.0, 1) if quick else (6.0, 5)
    heavy = classifier("se_resnet18", 64, width=16) if quick else classifier("se_resnet50", 224)
    figures = []
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        pythons = {peer.name: peer.install(Path(folder, peer.name)) for peer in PEERS}
        packages: dict[str, str] = {}
        for peer in PEERS:
            packages |= peer.versions(pythons[peer.name])
        for network, card in (mean_colour(224), heavy):
            console.print(f"exporting {card.name}")
            artifact = export(network, card, Path(folder, card.name))
            found = found_of(artifact, pythons, duration, rounds)
            figures += [figure for count in CLIENTS for figure in ratios(found, count)]
            figures += [added_latency(found), *memory(found, packages), *alone(found)]
    return figures


if __name__ == "__main__":
    if not set(MALLOC) <= set(os.environ):  # read when a process starts; the servers inherit them
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | MALLOC)  # noqa: S606
    run("peers", "one JPEG a request, beside FastAPI, LitServe and no server", measure)
