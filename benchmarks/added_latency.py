"""Latency that the server adds at concurrency 1: a served request's median less that of the same graph in
this process, in turn.

Pixels in, so that both do the same work; the server's instances and the session in process have one thread
each.
"""

from contextlib import ExitStack
from statistics import median

import numpy as np
from harness import Figure, Network, classifier, mean_colour, run, served, street

from regard.serving.bench.baseline import onnxruntime_runner
from regard.serving.bench.compare import Runner, compare, in_process
from regard.serving.bench.images import pixels_of
from regard.serving.bench.statistics import half_width
from regard.serving.bench.target import find_target, workers
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials

WAYS = (("gRPC with shared memory", "grpc", True), ("gRPC", "grpc", False), ("HTTP", "http", False))
TARGET = 1.5  # ms, with shared memory


def figures_of(network: Network, duration: float, rounds: int) -> list[Figure]:
    """One figure for each way to the server."""
    card = network[1]
    with served(network) as at, ExitStack() as stack:
        bodies = [np.stack([pixels_of(image, card)]) for image in street()]
        step = onnxruntime_runner(at.artifacts[card.name].model)
        runners = [in_process("in process", step, bodies, 1, batch=1)]
        for name, protocol, shared in WAYS:
            url = at.server.grpc_url if protocol == "grpc" else at.server.http_url
            connection = connect(address_of(url, protocol), Credentials())
            stack.callback(connection.close)
            target = find_target(
                connection, card.name, endpoint="tensor", batch=1, images=street(), shared_memory=shared
            )
            runners.append(Runner(name, stack.enter_context(workers(target, 1)), 1))
        base, *ways = compare(runners, reference="in process", duration=duration, rounds=rounds)
    figures = []
    for way, (name, _, shared) in zip(ways, WAYS, strict=True):
        added = [mine - direct for mine, direct in zip(way.rounds_p50, base.rounds_p50, strict=True)]
        figures.append(
            Figure(
                f"{card.name}: latency added by the server, 1 client, {name}",
                median(added),
                "ms",
                rounds,
                "rounds",
                target=TARGET if shared else None,
                half_width=half_width(added),
                details={"in_process_p50_ms": base.p50.value, "served_p50_ms": way.p50.value},
            )
        )
    return figures


def measure(quick: bool) -> list[Figure]:
    duration, rounds = (0.5, 2) if quick else (3.0, 7)
    figures = figures_of(mean_colour(64 if quick else 224), duration, rounds)
    return [
        *figures,
        *figures_of(classifier("se_resnet18", 64 if quick else 224, width=16), duration, rounds),
    ]


if __name__ == "__main__":
    run("added_latency", "latency added by the server", measure)
