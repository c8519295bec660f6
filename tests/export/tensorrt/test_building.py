"""A build as its caller sees it, whatever becomes of the process: stand-ins die in every way."""

import errno
import sys
import time
from pathlib import Path

import pytest

from regard.contract.plan import Profile
from regard.errors import ExportError
from regard.export.tensorrt.building import built
from regard.export.tensorrt.job import Built, Failed, Job, Progress

PROFILE = Profile(least=(1, 8, 8, 3), best=(2, 8, 8, 3), most=(4, 8, 8, 3))
JOB = Job(
    library="tensorrt_rtx",
    graph="model.onnx",
    engine="model.plan",
    compute_capabilities=("8.6",),
    profiles=(PROFILE,),
    workspace=None,
    processor_seconds=1,
)
DONE = Built(
    version="1.2.3", compute_capabilities=("8.6",), gpu=None, workspace=1, bindings=(), layers=(), seconds=1
)


def process(code: str) -> tuple[str, ...]:
    """A stand-in that reads its job, and then does as the code says."""
    return sys.executable, "-c", f"import os, signal, sys, time; sys.stdin.readline(); {code}"


def worker_with(library: str, folder: Path) -> tuple[str, ...]:
    """The worker itself, with this code as the library."""
    (folder / "tensorrt_rtx.py").write_text(library + "\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import regard.export.tensorrt.worker as it; it.main()"
    )
    return sys.executable, "-c", code, str(folder)


def says(*messages: Progress | Built | Failed) -> str:
    return "; ".join(f"print({message.model_dump_json()!r}, flush=True)" for message in messages)


def test_progress_and_the_engine() -> None:
    seen: list[tuple[str, float]] = []
    progress = [Progress(phase="one", fraction=0.25), Progress(phase="two", fraction=0.5)]
    found = built(
        JOB,
        wall_seconds=60,
        report=lambda phase, fraction: seen.append((phase, fraction)),
        command=process(says(*progress, DONE)),
    )
    assert found == DONE
    assert seen == [("one", 0.25), ("two", 0.5)]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (says(Failed(reason="no such operator")), "^no such operator$"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV, a fault of the library$"),
        (
            "print('free(): bad', file=sys.stderr); os.abort()",
            "died of SIGABRT.*; its last words: free.*bad$",
        ),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "was ended from outside by SIGKILL, as where memory runs out$",
        ),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "took more than 1 seconds of processor time"),
        ("sys.exit(3)", "ended without a word, with code 3"),
        ("print('half a mess', flush=True)", "ended without a word, with code 0"),
        (f"{says(Progress(phase='one', fraction=0.5))}; os._exit(1)", "ended without a word, with code 1"),
    ],
)
def test_the_ways_to_fail(code: str, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        built(JOB, wall_seconds=60, command=process(code))


def test_one_that_hangs_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(ExportError, match="builds an engine of model.onnx was ended after 1 seconds"):
        built(JOB, wall_seconds=1, command=process("time.sleep(120)"))
    assert time.monotonic() - started < 60


def test_a_full_disk_is_an_error_of_the_system() -> None:
    """Which the draft of a folder knows how to tell."""
    full = Failed(reason="No space left on device", errno=errno.ENOSPC)
    with pytest.raises(OSError, match="No space left") as caught:
        built(JOB, wall_seconds=60, command=process(says(full)))
    assert caught.value.errno == errno.ENOSPC


def test_processor_time_is_limited(tmp_path: Path) -> None:
    """By the process itself, before it imports the library: here that is one that never ends."""
    job = JOB.model_copy(update={"processor_seconds": 2})
    with pytest.raises(ExportError, match="took more than 2 seconds of processor time"):
        built(job, wall_seconds=120, command=worker_with("while True: pass", tmp_path))


def test_a_library_that_is_not_whole(tmp_path: Path) -> None:
    job = JOB.model_copy(update={"processor_seconds": 60})
    command = worker_with("raise FileNotFoundError('libtensorrt_rtx.so')", tmp_path)
    with pytest.raises(
        ExportError, match=r"cannot be used here \(FileNotFoundError: lib.*install 'regard\[rtx"
    ):
        built(job, wall_seconds=120, command=command)


def test_a_library_that_prints_does_not_disturb(tmp_path: Path) -> None:
    """Its words are on stderr, and messages are found."""
    job = JOB.model_copy(update={"processor_seconds": 60})
    command = worker_with(
        "import os; os.write(1, b'hello'); print('hello'); raise ImportError('no')", tmp_path
    )
    with pytest.raises(ExportError, match=r"cannot be used here \(ImportError: no\)"):
        built(job, wall_seconds=120, command=command)
