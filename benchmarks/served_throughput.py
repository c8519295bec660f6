"""Throughput of the served image endpoint at saturation over ONNX Runtime in this process: same JPEGs, same
decoding, same processors.

In process: as many workers as processors, one compute thread each. Served: 16 clients with one image a
request, or 4 with eight. Both in turn.
"""

from contextlib import ExitStack
from dataclasses import asdict

from harness import Figure, Network, Served, classifier, mean_colour, run, served, street

from regard.serving.bench.baseline import onnxruntime_step
from regard.serving.bench.compare import Compared, Runner, compare, in_process
from regard.serving.bench.images import batches
from regard.serving.bench.measure import processors
from regard.serving.bench.target import find_target, workers
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials

CLIENTS = {1: 16, 8: 4}  # by batch
MAX_P99 = {"se_resnet50": 750.0}  # ms, by network


def compared(
    at: Served, name: str, sizes: tuple[int, ...], duration: float, rounds: int
) -> dict[str, Compared]:
    """The figures of every runner: "onnxruntime batch 1", "triton batch 1", ..."""
    artifact = at.artifacts[name]
    step = onnxruntime_step(artifact.model, artifact.card)
    connection = connect(address_of(at.server.grpc_url, "grpc"), Credentials())
    with ExitStack() as stack:
        stack.callback(connection.close)
        runners = []
        for size in sizes:
            groups = batches(street(), artifact.card, size)
            runners.append(in_process(f"onnxruntime batch {size}", step, groups, processors(), batch=size))
            target = find_target(
                connection, name, endpoint="image", batch=size, images=street(), shared_memory=False
            )
            runners.append(
                Runner(f"triton batch {size}", stack.enter_context(workers(target, CLIENTS[size])), size)
            )
        found = compare(runners, reference=runners[0].name, duration=duration, rounds=rounds)
    return {runner.name: runner for runner in found}


def figures_of(
    network: Network, target: float, sizes: tuple[int, ...], duration: float, rounds: int
) -> list[Figure]:
    """The ratio at each batch, over whichever is faster in process: single images, or the served batch; and
    the p99 of 16 clients.
    """
    name = network[1].name
    with served(network) as at:
        found = compared(at, name, sizes, duration, rounds)
    figures = []
    for size in sizes:
        triton = found[f"triton batch {size}"]
        base = max(
            (found[f"onnxruntime batch {other}"] for other in sorted({1, size})),
            key=lambda runner: runner.throughput.value,
        )
        figures.append(
            Figure(
                f"{name}: served / in-process throughput, {CLIENTS[size]} clients, {size} a request "
                f"(in process {base.client_cpu:.2f} of {processors()} processors busy)",
                triton.throughput.value / base.throughput.value,
                "",
                rounds,
                "rounds",
                target=target,
                better="at least",
                details={"served": asdict(triton), "in_process": asdict(base)},
            )
        )
    single = found["triton batch 1"]
    p99 = Figure(
        f"{name}: p99 with {CLIENTS[1]} clients",
        single.p99.value,
        "ms",
        single.p99.n,
        "requests",
        target=MAX_P99.get(name),
    )
    return [*figures, p99]


def measure(quick: bool) -> list[Figure]:
    duration, rounds = (1.0, 2) if quick else (8.0, 5)
    heavy = classifier("se_resnet18", 64, width=16) if quick else classifier("se_resnet50", 224)
    figures = figures_of(heavy, 0.93, (1,), duration, rounds)
    return [*figures, *figures_of(mean_colour(224), 0.85, (1, 8), duration, rounds)]


if __name__ == "__main__":
    run("served_throughput", "served throughput over the same graph in process, JPEG in", measure)
