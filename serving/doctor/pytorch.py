"""PyTorch, and whether it computes on a GPU here."""

from collections.abc import Iterator
from importlib.util import find_spec

from regard.serving.doctor.finding import Finding, broken, not_installed, note, ok, problem
from regard.serving.machine.asking import probe
from regard.serving.machine.gpus import Gpus

ABOUT = "PyTorch"


def pytorch(gpus: Gpus) -> Iterator[Finding]:
    """Whether PyTorch is there, and gets the GPU where there is one."""
    if find_spec("torch") is None:
        yield not_installed(ABOUT, "networks are neither trained nor exported here", "export")
        return
    facts, answer = probe("torch_facts")
    if answer.fault is not None:
        yield broken(ABOUT, "torch", answer.fault)
        return
    cuda = facts["cuda"]
    says = f"{facts['version']}, built for {'processors' if cuda is None else f'CUDA {cuda}'}"
    if not gpus.found or facts["gpu"]:
        yield ok(ABOUT, f"{says}, on the GPU" if facts["gpu"] else says, facts)
    elif cuda is None:
        yield note(ABOUT, f"{says}, and there is a GPU", "to train on it, install the build for CUDA", facts)
    else:
        yield problem(
            ABOUT,
            f"{says}, and gets no GPU",
            f"install a driver that runs CUDA {cuda}, or a build for an older CUDA",
            facts,
        )
