"""All that the doctor looks at."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

from regard.serving.doctor import compilers, engines, gpu, processors, server
from regard.serving.doctor.docker import docker
from regard.serving.doctor.finding import Finding
from regard.serving.doctor.onnx_runtime import onnx_runtime
from regard.serving.doctor.openvino import openvino
from regard.serving.doctor.plans import plans
from regard.serving.doctor.pytorch import pytorch
from regard.serving.doctor.release import release
from regard.serving.machine.gpus import gpus

Check = Callable[[], Iterable[Finding]]


def examine(repository: Path | None) -> list[Finding]:
    """Look at this machine, and at the engines of a model repository where one is given.

    It takes a few seconds; a program or a library that hangs makes it a minute.
    """
    there = gpus()
    checks: tuple[Check, ...] = (
        processors.regard_itself,
        processors.processor,
        processors.memory_size,
        partial(gpu.gpu, there),
        partial(onnx_runtime, there),
        openvino,
        partial(pytorch, there),
        partial(engines.tensorrt, there),
        engines.tensorrt_rtx,
        server.embedded_triton,
        server.shared_memory,
        server.ports,
        compilers.cpp,
        compilers.cuda,
        partial(docker, there),
        partial(release, Path()),
        partial(plans, repository, there),
    )
    with ThreadPoolExecutor(max_workers=len(checks)) as pool:  # most of them wait for other processes
        return [*chain.from_iterable(pool.map(lambda check: [*check()], checks))]


def works(findings: Iterable[Finding]) -> bool:
    """Whether all that is asked for here can work."""
    return all(finding.status != "problem" for finding in findings)
