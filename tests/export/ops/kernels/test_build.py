"""Building the kernels' library."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.processes import run

from regard.export.ops.kernels import build

ROOT = Path(__file__).parents[4]

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels are for x86-64")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def told() -> tuple[Path | None, list[str]]:
    lines: list[str] = []
    return build.library(report=lines.append), lines


def script(folder: Path, text: str) -> str:
    """A compiler of ours."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


# writes what it is told to, and counts its calls
COUNTING = """echo call >> "$0.calls"
while [ "$1" ]; do [ "$1" = -o ] && echo built > "$2"; shift; done"""


def test_without_a_compiler_there_is_none_and_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    path, (line,) = told()
    assert path is None
    assert line.startswith("no kernels: there is no g++ to compile them")
    assert "bodies" in line


def test_a_compiler_that_fails_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    text = 'case "$*" in *-c*) echo note >&2; echo "kernels.cc:3: error: no room" >&2; exit 1;; esac'
    monkeypatch.setenv("CXX", script(tmp_path, text))
    path, (line,) = told()
    assert path is None
    assert "compiler failed: kernels.cc:3: error: no room" in line
    assert "\n" not in line
    assert not [*cache.rglob("*.so"), *cache.rglob("*.o")]


def test_another_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    path, (line,) = told()
    assert path is None
    assert "aarch64" in line


def test_a_cache_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    monkeypatch.setenv("CXX", script(tmp_path, COUNTING))
    cache.write_text("a file")
    path, (line,) = told()
    assert path is None
    assert "cannot write" in line


def test_it_is_built_once_and_again_for_another_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", script(tmp_path, COUNTING))
    first, _ = told()
    calls = tmp_path / "compiler.calls"
    built = len(calls.read_text().splitlines())
    assert first is not None
    assert told() == (first, [])
    assert len(calls.read_text().splitlines()) == built + 1  # its version
    script(tmp_path, f"echo another version\n{COUNTING}")
    second, _ = told()
    assert second not in (first, None)
    assert {path.name for path in first.parent.iterdir()} == {first.name, second.name}  # type: ignore[union-attr]


def test_two_processes_build_at_once(tmp_path: Path) -> None:
    env = os.environ | {"CXX": script(tmp_path, f"sleep 0.2\n{COUNTING}")}
    # by its path, since the package's other modules import PyTorch
    command = [sys.executable, "-c", f"import runpy; print(runpy.run_path({build.__file__!r})['library']())"]
    both = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0] == answers[1]
    path = Path(answers[0][0].strip())
    assert path.read_text() == "built\n"
    assert [*path.parent.iterdir()] == [path]


@needs_compiler
@pytest.mark.slow
def test_no_sanitizer_finds_anything(tmp_path: Path) -> None:
    compiler = str(shutil.which("g++"))
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g")
    built = build.compiled(tmp_path, compiler, flags)
    runtimes = [
        run(compiler, f"-print-file-name=lib{name}.so", cwd=tmp_path).strip() for name in ("asan", "ubsan")
    ]
    env = os.environ | {
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    }
    cases = ROOT / "tests" / "export" / "ops" / "kernels" / "cases.py"
    assert "calls" in run(sys.executable, cases, built, cwd=tmp_path, env=env)


@needs_compiler
def test_the_library_offers_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    path, _ = told()
    assert path is not None
    symbols = run("nm", "--dynamic", "--defined-only", path, cwd=path.parent)
    assert [line.split()[-1] for line in symbols.splitlines()] == ["RegisterCustomOps"]
