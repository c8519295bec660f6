"""Stand-ins for programs on PATH and for libraries of Python: present, absent, failing, hanging."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["modules", "programs"]

Programs = Callable[..., None]
HANG = "exec /bin/sleep 300"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """`programs(**scripts)`: shell scripts, and PATH holds no others; for - a name has _, for ++ xx."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(**scripts: str) -> None:
        for name, script in scripts.items():
            path = folder / name.replace("_", "-").replace("xx", "++")
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

    return make


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`modules(**sources)`: what `import name` runs in processes of their own; here they are found alone."""
    folder = tmp_path / "modules"
    folder.mkdir()
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{before}" if before else str(folder))
    monkeypatch.syspath_prepend(folder)

    def make(**sources: str) -> None:
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(source)

    return make
