"""What builds and loads engines: TensorRT, and TensorRT-RTX."""

from collections.abc import Iterator

from regard.serving.doctor.finding import Finding, broken, not_installed, ok
from regard.serving.machine.gpus import Gpus
from regard.serving.machine.tensorrt import version_of


def tensorrt(gpus: Gpus) -> Iterator[Finding]:
    """TensorRT, which is of use where there is a GPU."""
    about = "TensorRT"
    version, fault = version_of("tensorrt")
    if fault is not None:
        yield broken(about, "tensorrt", fault, status="problem" if gpus.found else "note")
    elif version is None:
        lacking = "no engine is built for the GPU here" if gpus.found else "needed with a GPU alone"
        yield not_installed(about, lacking, "gpu")
    else:
        yield ok(about, version, {"version": version})


def tensorrt_rtx() -> Iterator[Finding]:
    """TensorRT-RTX, which builds without a GPU."""
    about = "TensorRT-RTX"
    version, fault = version_of("tensorrt_rtx")
    if fault is not None:
        yield broken(about, "tensorrt_rtx", fault)
    elif version is None:
        yield not_installed(about, "no engine is built without a GPU", "rtx")
    else:
        yield ok(about, f"{version}, which builds engines without a GPU", {"version": version})
