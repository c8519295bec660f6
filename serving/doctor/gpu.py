"""The GPUs."""

import os
from collections.abc import Iterator
from dataclasses import asdict

from regard.serving.doctor.finding import Finding, note, ok, problem
from regard.serving.doctor.processors import gib
from regard.serving.machine.gpus import Gpu, Gpus
from regard.serving.machine.pci import plugged_in

DRIVER = "install NVIDIA's driver, until `nvidia-smi` lists the GPU"
HIDING = "CUDA_VISIBLE_DEVICES"


def gpu(gpus: Gpus) -> Iterator[Finding]:
    """What GPUs there are, and their driver."""
    on_bus = plugged_in()
    facts = asdict(gpus) | {"plugged_in": on_bus}
    if gpus.fault is not None and on_bus:
        yield problem("GPU", f"{gpus.fault}, and there is an NVIDIA GPU", DRIVER, facts)
    elif gpus.fault is not None:
        yield note(
            "GPU", f"no NVIDIA GPU is plugged in; {gpus.fault}", f"where there is one, {DRIVER}", facts
        )
    elif not gpus.found and on_bus:
        yield note("GPU", "an NVIDIA GPU is plugged in, which no driver gives to programs", DRIVER, facts)
    elif not gpus.found:
        yield note(
            "GPU",
            "no NVIDIA GPU: networks are computed by the processors",
            "where there is one: NVIDIA's driver, and in a container docker run --gpus all",
            facts,
        )
    else:
        driver = [f"driver {gpus.driver}"] * (gpus.driver is not None)
        cuda = [f"CUDA up to {gpus.cuda}"] * (gpus.cuda is not None)
        says = ", ".join([*map(_described, gpus.found), *driver, *cuda])
        hidden = os.environ.get(HIDING)
        if hidden is None:
            yield ok("GPU", says, facts)
        else:
            yield note(
                "GPU",
                f"{says}; {HIDING}={hidden!r} hides others from this process",
                f"unset {HIDING} to use all of them",
                facts,
            )


def _described(gpu: Gpu) -> str:
    size = "" if gpu.memory is None else f" and {gib(gpu.memory)}"
    return f"{gpu.name} (compute capability {gpu.compute_capability}{size})"
