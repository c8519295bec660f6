"""The endpoint for image files beside what one would use instead: FastAPI and LitServe apps of a few lines,
and ONNX Runtime in this process, with 1, 4 and 16 clients. docs/peers.md says what is fair about it.

The same JPEGs of 640 x 480, graph, decoding, processors and memory settings, all in turn within one run. Each
server has as many workers as there are processors, of one compute thread each, and so has this process. The
peers take HTTP and ours gRPC, one image a request. Before anything is measured, all must give the same
answers. Beside them ours serves the same network in int8: of the trained networks the variants that come with
regard, whose answers benchmarks/precision.py judges; of SE-ResNet-50, whose weights are random, one that is
judged by nobody.
"""

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import Figure, classifier, console, export, mean_colour, run, street
from peer_servers import PEERS, Server, ours, theirs
from PIL import Image

from regard.contract.judgement import Judgement
from regard.export.artifact import Artifact, read_graph
from regard.export.precision.quantize import quantize
from regard.export.variant import adding_variant, read_variant
from regard.models.load import resolve
from regard.serving.bench.baseline import onnxruntime_step
from regard.serving.bench.compare import Compared, Runner, compare, in_process
from regard.serving.bench.measure import processors
from regard.serving.bench.statistics import half_width
from regard.serving.optimize.drafting import Drafting, Made
from regard.serving.optimize.optimize import optimize, record
from regard.serving.optimize.progress import silent
from regard.serving.triton.installation import MALLOC
from regard.serving.triton.memory import server_memory

CLIENTS = {1: "1 client", 4: "4 clients", 16: "16 clients"}
IN_PROCESS, OURS, INT8, NAMES = "in process", "ours", "ours in int8", tuple(peer.name for peer in PEERS)
THROUGHPUT = {  # of ours: at least so many times that of the other
    ("se_resnet50", IN_PROCESS): 0.95,
    ("se_resnet50", "FastAPI"): 1.0,
    ("se_resnet50", "LitServe"): 1.0,
    ("mean_colour", "FastAPI"): 1.1,
}
P99 = {"se_resnet50": 1.05}  # of ours: at most so many times the best peer's
MEMORY = {"se_resnet50": 1.3}  # of ours: at most so many times the leanest peer's
ADDED = 1.0  # ms, at most
# of ours in int8: at least so many times the throughput of the best server in float32
INT8_OVER_BEST = {"se_resnet50": 2.5, "ccnet_mobilenet_v2_camvid": 2.5}
TRAINED = (("se_resnet18", "fashion_mnist"), ("ccnet_mobilenet_v2", "camvid"))


@dataclass(frozen=True)
class Found:
    """Of one graph: the runners' figures by the number of clients, and the servers' memory in MB."""

    name: str
    compared: Mapping[int, Mapping[str, Compared]]
    memory: Mapping[str, float]


def found_of(
    artifact: Artifact, int8: Artifact | None, pythons: Mapping[str, Path], duration: float, rounds: int
) -> Found:
    """All servers on the artifact's graph, in turn, and ours on its int8 variant as well, where there is one.

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
        if int8 is not None:
            servers[INT8] = stack.enter_context(ours(int8, images))
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
    answer: Callable[[bytes], npt.NDArray[Any]],
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
    if INT8 in runners:
        fastest = max((OURS, *NAMES), key=lambda server: runners[server].throughput.value)
        ratio = runners[INT8].throughput.value / runners[fastest].throughput.value
        figures.append(
            Figure(
                f"{name}: int8's throughput over that of the best server in float32 ({fastest})",
                ratio,
                "",
                runners[INT8].throughput.n,
                "rounds",
                target=INT8_OVER_BEST.get(found.name),
                better="at least",
            )
        )
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


def quantized(artifact: Artifact, images: Sequence[bytes]) -> Artifact:
    """An int8 variant of random weights, which decide nothing that could be judged: for its speed alone."""
    with adding_variant(artifact.folder, "int8") as draft:
        drafting = Drafting(artifact, draft, "openvino", None, silent)
        variant = drafting.written(
            quantize(
                read_graph(artifact.model), [artifact.card.input.decode_and_fit(each) for each in images]
            )
        )
        judgement = Judgement(
            reference_sha256=artifact.sha256,
            variant_sha256=variant.sha256,
            candidate="nobody's: for its speed alone",
            data="none",
            images=1,
            agreement=0,
            least_agreement=0,
            min_agreement=0,
            min_least_agreement=0,
        )
        record(drafting, Made(variant, judgement), "int8")
    return read_variant(artifact.folder / "variants" / "int8")


def trained(network: str, weights: str, folder: Path) -> tuple[Artifact, Artifact]:
    """A network that comes with regard, and its int8 variant."""
    module, card = resolve(network, weights=weights)
    artifact = export(module, card, folder / card.name)
    return artifact, read_variant(optimize(artifact.folder, "int8", keep_slower=True).folder)


def networks(quick: bool, folder: Path) -> Iterator[tuple[Artifact, Artifact | None]]:
    """What is served, each exported as its turn comes: in float32, and in int8 where that is of interest."""
    network, card = mean_colour(224)
    yield export(network, card, folder / card.name), None
    network, card = classifier("se_resnet18", 64, width=16) if quick else classifier("se_resnet50", 224)
    heavy = export(network, card, folder / card.name)
    yield heavy, quantized(heavy, photographs())
    for name, weights in TRAINED[: 1 if quick else None]:
        yield trained(name, weights, folder)


def measure(quick: bool) -> list[Figure]:
    duration, rounds = (1.0, 1) if quick else (3.0, 5)
    figures = []
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        pythons = {peer.name: peer.install(Path(folder, peer.name)) for peer in PEERS}
        packages: dict[str, str] = {}
        for peer in PEERS:
            packages |= peer.versions(pythons[peer.name])
        for artifact, int8 in networks(quick, Path(folder)):
            found = found_of(artifact, int8, pythons, duration, rounds)
            figures += [figure for count in CLIENTS for figure in ratios(found, count)]
            figures += [added_latency(found), *memory(found, packages), *alone(found)]
    return figures


if __name__ == "__main__":
    if not set(MALLOC) <= set(os.environ):  # read when a process starts; the servers inherit them
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | MALLOC)  # noqa: S606
    run("peers", "one JPEG a request, beside FastAPI, LitServe and no server", measure)
