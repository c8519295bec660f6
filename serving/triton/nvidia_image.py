"""The Triton server in NVIDIA's images, as docker/Dockerfile completes them: with NVIDIA's backends, and ours
for image files beside them. Ours for tensors stay out, since the image has NVIDIA's of the same names.
"""

import os
import re
import sys
from pathlib import Path

from regard.errors import ServerError
from regard.serving.machine.gpus import gpus
from regard.serving.repository.engine_choice import Server
from regard.serving.repository.releases import TENSORRT
from regard.serving.repository.runtime import TENSORRT as TENSORRT_BACKEND
from regard.serving.triton.backends.files import OWN
from regard.serving.triton.installation import Installation, check_runs

RELEASE_VARIABLE = "NVIDIA_TRITON_SERVER_VERSION"  # such as 24.10, as the images set it
LIBRARIES = Path("/usr/lib")


def installation_at(root: Path) -> Installation:
    """The server in a folder such as an image's /opt/tritonserver.

    Raises:
        ServerError: it is none, lacks our backend, or cannot run here.
    """
    backends = root / "backends"
    stub = backends / "python" / "triton_python_backend_stub"
    found = Installation(
        root,
        stub=stub,
        interpreter_folder=Path(sys.executable).parent,
        server=_server(backends),
        whole_backends=True,
    )
    for file in (found.binary, stub, *(backends / name / "model.py" for name in OWN)):
        if not file.is_file():
            raise ServerError(
                f"{root} holds no {file.relative_to(root)}; build the image with docker/Dockerfile"
            )
    check_runs(found)
    return found


def _server(backends: Path) -> Server:
    names = frozenset(folder.name for folder in backends.glob("*/"))
    if TENSORRT_BACKEND not in names:
        return Server(names)
    kinds = {gpu.compute_capability for gpu in gpus().found}
    tensorrt = TENSORRT.get(os.environ.get(RELEASE_VARIABLE, "")) or tensorrt_in(LIBRARIES)
    return Server(names, tensorrt, tuple(sorted(kinds)))


def tensorrt_in(libraries: Path) -> str | None:
    """The version that TensorRT's library has in its file's name, as in libnvinfer.so.10.5.0; None where
    there is none, or more than one.
    """
    files = {path.resolve().name for path in libraries.glob("*-linux-gnu/libnvinfer.so.*")}
    found = [match[1] for file in files if (match := re.fullmatch(r"libnvinfer\.so\.(\d+\.\d+\.\d+)", file))]
    return found[0] if len(found) == 1 else None
