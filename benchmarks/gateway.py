"""What the gateway costs: gRPC through it (TLS, an API key, its limits and its log) over gRPC to the server
itself.

Throughput at saturation, and the median of a single client, each in turn with the direct way. Gateway, server
and clients share one machine, so the gateway's processor time counts as well.
"""

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median

from harness import Figure, Network, Served, classifier, run, served, street

from regard.serving.bench.compare import Compared, Runner, compare
from regard.serving.bench.statistics import half_width
from regard.serving.bench.target import Endpoint, find_target, workers
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.triton.ports import free_ports

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.serving.deploy.local_gateway import Gateway, Ports, running_gateway

CLIENTS = 16  # at saturation
DIRECT, THROUGH = "direct", "through the gateway"
RATIO = 0.95
ADDED = 1.0  # ms
ENDPOINTS: tuple[Endpoint, ...] = ("image", "tensor")


def compared(
    at: Served, gateway: Gateway, name: str, endpoint: Endpoint, clients: int, duration: float, rounds: int
) -> list[Compared]:
    """Both ways to one endpoint: direct, through the gateway."""
    ways = {
        DIRECT: (at.server.grpc_url, "grpc", Credentials()),
        THROUGH: (gateway.grpc_url, "grpc", Credentials(ca=gateway.ca, api_key=gateway.api_key)),
    }
    runners = []
    with ExitStack() as stack:
        for way, (url, protocol, credentials) in ways.items():
            connection = connect(address_of(url, protocol), credentials)
            stack.callback(connection.close)
            target = find_target(
                connection, name, endpoint=endpoint, batch=1, images=street(), shared_memory=False
            )
            runners.append(Runner(way, stack.enter_context(workers(target, clients)), 1))
        return compare(runners, reference=DIRECT, duration=duration, rounds=rounds)


def figures_of(network: Network, duration: float, rounds: int) -> list[Figure]:
    """Throughput's ratio and the added median, for each endpoint."""
    name = network[1].name
    figures = []
    with ExitStack() as stack:
        at = stack.enter_context(served(network))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regard_gateway_")))
        (folder / "routing").mkdir()
        http, grpc = (int(url.rpartition(":")[2]) for url in (at.server.http_url, at.server.grpc_url))
        ports = {"a": Ports(http, grpc, *free_ports(2)), "b": Ports.free()}
        gateway = stack.enter_context(running_gateway(ports, folder, deployment=folder))
        for endpoint in ENDPOINTS:
            direct, through = compared(at, gateway, name, endpoint, CLIENTS, duration, rounds)
            figures.append(
                Figure(
                    f"{name}, {endpoint}: throughput through the gateway over direct gRPC, {CLIENTS} clients",
                    through.ratio.value,
                    "",
                    rounds,
                    "rounds",
                    target=RATIO,
                    better="at least",
                    half_width=through.ratio.half_width,
                    details={DIRECT: asdict(direct), THROUGH: asdict(through)},
                )
            )
            direct, through = compared(at, gateway, name, endpoint, 1, duration, rounds)
            added = [mine - base for mine, base in zip(through.rounds_p50, direct.rounds_p50, strict=True)]
            figures.append(
                Figure(
                    f"{name}, {endpoint}: median added by the gateway, 1 client",
                    median(added),
                    "ms",
                    rounds,
                    "rounds",
                    target=ADDED,
                    half_width=half_width(added),
                    details={"direct_p50_ms": direct.p50.value, "through_p50_ms": through.p50.value},
                )
            )
    return figures


def measure(quick: bool) -> list[Figure]:
    """SE-ResNet-50; when quick a smaller one."""
    if quick:
        return figures_of(classifier("se_resnet18", 64, width=16), 0.5, 2)
    return figures_of(classifier("se_resnet50", 224), 5.0, 7)


if __name__ == "__main__":
    run("gateway", "the gateway's cost", measure)
