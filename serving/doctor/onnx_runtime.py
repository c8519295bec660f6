"""ONNX Runtime, and with what a session of it computes here."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from regard.serving.doctor.finding import Facts, Finding, broken, not_installed, note, ok, problem
from regard.serving.machine.asking import probe
from regard.serving.machine.gpus import Gpus

ABOUT = "ONNX Runtime"
PACKAGES = ("onnxruntime", "onnxruntime-gpu")  # of the same name to Python
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
LACKING = re.compile(r"(lib\S+?): cannot open shared object file")


def onnx_runtime(gpus: Gpus) -> Iterator[Finding]:
    """Which providers a session gets that asks for TensorRT, CUDA and the CPU."""
    extra = "gpu" if gpus.found else "cpu"
    if find_spec("onnxruntime") is None:
        yield not_installed(ABOUT, "networks are neither proven nor served here", extra)
        return
    installed = [package for package in PACKAGES if _installed(package)]
    again = f"pip uninstall {' '.join(installed)}, then pip install 'regard[{extra}]'"
    facts, answer = probe("onnxruntime_facts")
    facts |= {"packages": installed}
    if answer.fault is not None:
        yield broken(ABOUT, "onnxruntime", answer.fault)
        return
    given = [name.removesuffix("ExecutionProvider") for name in facts["given"]]
    says = f"{facts['version']}, which gives a session {' and '.join(given)}"
    if len(installed) > 1:
        yield problem(ABOUT, f"{says}; {' and '.join(installed)} overwrite each other", again, facts)
    elif not gpus.found:
        yield ok(ABOUT, says, facts)
    elif CUDA not in facts["listed"]:
        yield problem(ABOUT, f"{says}: a build for processors, and there is a GPU", again, facts)
    else:
        lacks = [*dict.fromkeys(LACKING.findall(answer.output + answer.errors))]
        yield _on_gpu(says, lacks, facts)


def _on_gpu(says: str, lacks: list[str], facts: Facts) -> Finding:
    """What a build for GPUs gives where there is one. lacks: libraries that it looked for in vain."""
    why = f" ({' and '.join(lacks)} not found)" if lacks else ""
    if CUDA not in facts["given"]:
        return problem(
            ABOUT,
            f"{says}: it lists CUDA and falls to the processors{why}",
            f"install the CUDA and cuDNN that onnxruntime-gpu {facts['version']} wants, and its driver",
            facts,
        )
    if TENSORRT in facts["listed"] and TENSORRT not in facts["given"]:
        return note(
            ABOUT,
            f"{says}: it lists TensorRT and falls to CUDA{why}",
            f"to accelerate with it, install the TensorRT that onnxruntime-gpu {facts['version']} wants",
            facts,
        )
    return ok(ABOUT, says, facts)


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
