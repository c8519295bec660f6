"""What many small models cost: memory and time to a ready server, by their endpoints.

Ten times the same SE-ResNet-18, served in turn as both endpoints, as that for image files alone, and as that
for tensors alone. Memory is the PSS of the server and all its processes, so that shared pages count once,
after each model has answered one request to each of its endpoints.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Literal, get_args

from harness import Figure, classifier, console, embedded, export, run, street

from regard import Client
from regard.contract.preprocess import decode
from regard.export.artifact import Artifact
from regard.serving.repository import add
from regard.serving.triton.memory import server_memory

MODELS = 10
Endpoints = Literal["both", "image", "tensor"]


def once(artifact: Artifact, endpoints: Endpoints, models: int) -> tuple[float, float]:
    """Serve so many models and return the memory in MB and the seconds until they were ready."""
    names = [f"small_{index}" for index in range(models)]
    (image, *_) = street()
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        repository = Path(folder, "repository")
        for name in names:
            add(artifact, repository, name=name, endpoints=endpoints)
        server = embedded(repository)
        start = time.perf_counter()
        with server:
            ready = time.perf_counter() - start
            with Client(server.grpc_url) as client:
                for name in names:
                    if endpoints != "tensor":
                        client.classify(name, image)
                    if endpoints != "image":
                        client.classify(name, decode(image))
            return server_memory(server.pid) / 1e6, ready


def measure(quick: bool) -> Sequence[Figure]:
    models, repeats = (2, 1) if quick else (MODELS, 3)
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        network = classifier("se_resnet18", 64, width=16)  # 0.7 million weights: what is counted is the rest
        artifact = export(*network, Path(folder, "small"))
        found: dict[Endpoints, list[tuple[float, float]]] = {each: [] for each in get_args(Endpoints)}
        for repeat in range(repeats):
            for endpoints, measured in found.items():
                console.print(f"{models} models, {endpoints}, {repeat + 1} of {repeats}")
                measured.append(once(artifact, endpoints, models))
    figures = []
    for endpoints, measured in found.items():
        name = f"{models} models, endpoints: {endpoints}"
        memory, seconds = ([each[index] for each in measured] for index in (0, 1))
        for what, unit, values, target in (("memory", "MB", memory, 700), ("ready after", "s", seconds, 8)):
            figures.append(
                Figure(
                    f"{name}, {what}",
                    median(values),
                    unit,
                    repeats,
                    "starts",
                    target=target,
                    details={"measured": values},
                )
            )
    return figures


if __name__ == "__main__":
    run("small_models", "memory of many small models and time to a ready server, by endpoints", measure)
