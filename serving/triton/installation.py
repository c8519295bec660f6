"""The files of a real Triton server, and whether this Python can run it: here where pip put one (package
nvidia-pytriton), in nvidia_image.py where NVIDIA's images have it.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regard.errors import ServerError
from regard.serving.triton.residue import SHARED_MEMORY

if TYPE_CHECKING:
    from regard.serving.repository.engine_choice import Server

PACKAGE = "nvidia-pytriton"
MIN_SHARED_MEMORY = 128 * 2**20  # bytes; docker's default of 64 MiB is too small for a batch of large images
# bytes, for the GNU C library: the arrays of an image are kept for the next one, instead of being mapped and
# unmapped for each; docker/Dockerfile says the same
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(64 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20)}


class NoRoom(ServerError):
    """Shared memory is too small or too full at the moment."""


@dataclass(frozen=True)
class Installation:
    """The files of a server that this Python can run.

    root: holds bin/tritonserver, backends/ and caches/.
    stub: the process that a Python model lives in, for this Python's version.
    interpreter_folder: holds the python3 that models run in.
    server: what it loads engines by.
    libraries: what LD_LIBRARY_PATH needs.
    whole_backends: whether its own backends/ holds ours too, and is taken as it is; otherwise each run makes
        a folder of them.
    """

    root: Path
    stub: Path
    interpreter_folder: Path
    server: "Server"
    libraries: tuple[Path, ...] = ()
    whole_backends: bool = False

    @property
    def binary(self) -> Path:
        """The server."""
        return self.root / "bin" / "tritonserver"

    def environment(self) -> dict[str, str]:
        """This process's environment with the server's libraries and this Python in front."""
        environment = dict(os.environ)
        environment["PATH"] = _prepend([self.interpreter_folder], environment.get("PATH"))
        if self.libraries:
            environment["LD_LIBRARY_PATH"] = _prepend(self.libraries, environment.get("LD_LIBRARY_PATH"))
        # models use numpy to move bytes; idle threads in every stub only cost start-up
        environment["OPENBLAS_NUM_THREADS"] = "1"
        for name, value in MALLOC.items():
            environment.setdefault(name, value)
        environment.pop("PYTHONHOME", None)
        return environment


def find_installation() -> Installation:
    """Locate the server and check that it can run here.

    Raises:
        ServerError: the package is missing, numpy is too new, this Python is not supported or its shared
            library cannot be found.
    """
    from regard.serving.triton.backends.files import EMBEDDED  # needs onnx, which the doctor may find lacking

    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(
            "the embedded Triton server is not installed; install it with: pip install 'regard[server]'"
        )
    package = Path(spec.submodule_search_locations[0])
    numpy = importlib.metadata.version("numpy")
    if int(numpy.split(".")[0]) >= 2:
        raise ServerError(
            f"the embedded Triton server needs numpy below 2, found {numpy}; install it with: pip install "
            "'numpy<2'"
        )
    if importlib.util.find_spec("onnxruntime") is None:
        raise ServerError(
            "models run in ONNX Runtime, which is not installed; install it with: pip install 'regard[cpu]' "
            "(or 'regard[gpu]')"
        )
    root = package / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = Installation(
        root,
        stub=root / "python_backend_stubs" / version / "triton_python_backend_stub",
        server=EMBEDDED,
        libraries=(
            package.parent / "nvidia_pytriton.libs",
            Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib"),
        ),
        interpreter_folder=Path(sys.executable).parent,
    )
    if not found.binary.is_file():
        raise ServerError(
            f"{PACKAGE} {importlib.metadata.version(PACKAGE)} holds no {found.binary}; install it again on "
            "Linux x86-64"
        )
    if not found.stub.is_file():
        raise ServerError(
            f"{PACKAGE} does not support Python {sys.version.split()[0]}; use Python 3.10, 3.11 or 3.12"
        )
    check_runs(found)
    return found


def check_runs(found: Installation) -> None:
    """Refuse an installation whose models would run in another Python, or could not start.

    Raises:
        ServerError: with what is at fault.
    """
    _check_interpreter(found)
    _check_stub(found)


def check_shared_memory(tensors: int) -> None:
    """Refuse a machine whose shared memory is too small for tensors to pass between the server and its
    models.

    tensors: bytes of those that are under way at the same time.

    Raises:
        NoRoom: less than that, or than MIN_SHARED_MEMORY, is free.
    """
    free, needed = shutil.disk_usage(SHARED_MEMORY).free, max(MIN_SHARED_MEMORY, tensors)
    if free < needed:
        raise NoRoom(
            f"{SHARED_MEMORY} has {free >> 20} MiB free, and these models need {needed >> 20}; "
            "delete what is left there, or give a container more (docker run --shm-size=1g)"
        )


def _check_interpreter(found: Installation) -> None:
    # models run in the first python3 on PATH, which must be this very Python
    python = found.interpreter_folder / "python3"
    if not python.exists() or not python.samefile(sys.executable):
        raise ServerError(
            f"{python} is not the Python that runs regard ({sys.executable}); run regard from a virtual "
            "environment"
        )


def _check_stub(found: Installation) -> None:
    try:
        finished = subprocess.run(
            [found.stub], env=found.environment(), capture_output=True, text=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        raise ServerError(
            f"{found.stub}, which Python models live in, did not end within 30 s; install the server again"
        ) from None
    if "error while loading shared libraries" in finished.stderr:
        library = finished.stderr.split("libraries: ")[-1].split(":")[0]
        raise ServerError(
            f"the server's Python models need {library}; install it (on Debian: apt install "
            f"{library.split('.so')[0]})"
        )


def _prepend(folders: list[Path] | tuple[Path, ...], rest: str | None) -> str:
    return os.pathsep.join([*map(str, folders), *([rest] if rest else [])])
