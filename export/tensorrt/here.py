"""Whether a target can be built for here."""

import importlib.util
import os
from collections.abc import Mapping

from regard.errors import InvalidInput
from regard.export.tensorrt.cuda import gpu_here
from regard.export.tensorrt.target import Target

# variables of NVIDIA's images that hold their release
RELEASES = ("NVIDIA_TRITON_SERVER_VERSION", "NVIDIA_TENSORRT_VERSION")
IMAGE = "nvcr.io/nvidia/tensorrt:{}-py3"


def check_here(target: Target, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a target for the GPU here where there is none, or no TensorRT, or another release of it than
    Triton's, which loads only what its very version built.

    Raises:
        InvalidInput: what is missing, by name.
    """
    if target.release is not None:
        _check_release(target, target.release, environment)
    if not target.here:
        return
    missing = []
    if gpu_here() is None:
        missing.append("NVIDIA GPU with its driver")
    needed = (target.library, "onnxruntime")  # the second proves what the first built
    missing += [f"Python package {name}" for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise InvalidInput(
            f"the target {target.text} is for the GPU here, and here is no {' and no '.join(missing)}; build "
            "on the machine that will serve, in NVIDIA's TensorRT container, or for others with rtx:8.6,8.9"
        )


def _check_release(target: Target, release: str, environment: Mapping[str, str]) -> None:
    found = {environment[name] for name in RELEASES if name in environment}
    if release in found:
        return
    here = f"the container of {', '.join(sorted(found))}" if found else "no container of NVIDIA's"
    raise InvalidInput(
        f"the target {target.text} is built in a container of that release, by its TensorRT, on the GPU "
        f"that will serve, and this is {here}. In the artifact's parent folder: "
        f"`docker run --rm -it --gpus all -v $PWD:/artifacts -w /artifacts {IMAGE.format(release)}`; install "
        "'regard[cpu]' there, and build again"
    )
