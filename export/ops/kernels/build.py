"""The kernels' library, compiled on the machine that uses it, at first use or by `make kernels`.

It is kept in $XDG_CACHE_HOME/regard/kernels (~/.cache), by a digest of the sources, the flags and the
compiler. The processor decides what runs of it: AVX-512, AVX2, or nothing, and then the operators' bodies do.
"""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parent
FLAGS = ("-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast", "-Wno-psabi")
# Objects in the order in which they are linked: of what two of them hold, such as a function of the standard
# library, the first is taken, which must be fit for the lesser processor.
OBJECTS = {
    "library": ("library.cc",),
    "avx2": ("kernels.cc", "-DISA=avx2", "-mavx2", "-mfma", "-mf16c"),
    "avx512": ("kernels.cc", "-DISA=avx512", "-mavx2", "-mavx512f", "-mfma", "-mf16c"),
}
COSTS = "operators are computed by their bodies, several times slower"
TIMEOUT = 600  # seconds of a compiler's run


def library(report: Callable[[str], None] = lambda line: None) -> Path | None:
    """The library, built where it is not there yet, which takes some seconds.

    Args:
        report: told in one line why there is none.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        report(f"no kernels for {platform.machine()}, only for x86-64: {COSTS}")
        return None
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        report(f"no kernels: there is no {os.environ.get('CXX', 'g++')} to compile them; {COSTS}")
        return None
    try:
        version = _output(compiler, "-dumpversion")
        path = cache_folder() / f"regard_kernels_{_digest(version)}.so"
        if not path.is_file():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".draft_") as draft:
                os.replace(compiled(Path(draft), compiler), path)
    except subprocess.SubprocessError as error:
        report(f"no kernels: {_first_line(error)}; {COSTS}")
        return None
    except OSError as error:
        report(f"no kernels: cannot write {error.filename}: {error.strerror}; {COSTS}")
        return None
    return path


def compiled(folder: Path, compiler: str, extra: Sequence[str] = ()) -> Path:
    """Compile the library in a folder.

    Args:
        extra: flags for every command.

    Raises:
        subprocess.SubprocessError: the compiler failed.
    """
    objects = {folder / f"{name}.o": arguments for name, arguments in OBJECTS.items()}

    def compile_one(item: tuple[Path, Sequence[str]]) -> None:
        target, (source, *flags) = item
        _output(compiler, *FLAGS, *flags, *extra, "-c", str(FOLDER / source), "-o", str(target))

    with ThreadPoolExecutor() as pool:
        list(pool.map(compile_one, objects.items()))
    target = folder / "kernels.so"
    _output(compiler, "-shared", *extra, *map(str, objects), "-o", str(target))
    return target


def cache_folder() -> Path:
    """Where built libraries lie."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regard" / "kernels"


def _digest(compiler: str) -> str:
    sources = sorted(path for path in FOLDER.parent.rglob("*") if path.suffix in (".cc", ".h"))
    told = [compiler, repr((FLAGS, OBJECTS)), *(path.read_text(encoding="utf-8") for path in sources)]
    return sha256("\0".join(told).encode()).hexdigest()[:16]


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT).stdout


def _first_line(error: subprocess.SubprocessError) -> str:
    """What went wrong, in one line."""
    if not isinstance(error, subprocess.CalledProcessError):
        return str(error)
    lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
    return f"{Path(error.cmd[0]).name} failed: {next((line for line in lines if 'error' in line), lines[0])}"
