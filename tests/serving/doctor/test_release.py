"""The release of Triton that the stack of a folder would run."""

from pathlib import Path

import pytest
from tests.serving.doctor.findings import only

from regard.serving.deploy.tags import PRODUCTION
from regard.serving.doctor.release import release


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TRITON_RELEASE", raising=False)
    (tmp_path / "docker-compose.yml").touch()
    return tmp_path


def test_a_folder_without_a_stack_is_not_spoken_of(tmp_path: Path) -> None:
    assert [*release(tmp_path)] == []


def test_the_default_is_in_order(stack: Path) -> None:
    (stack / ".env").write_text((Path(__file__).parents[3] / ".env").read_text())
    finding = only(release(stack))
    assert finding.status == "ok"
    assert finding.facts == {"release": PRODUCTION}


@pytest.mark.parametrize("line", ["TRITON_RELEASE=24.10", "TRITON_RELEASE = '24.10' # tested"])
def test_known_faults_are_noted(stack: Path, line: str) -> None:
    (stack / ".env").write_text(f"REGARD_PORT=1\n{line}\n")
    finding = only(release(stack))
    assert finding.status == "note"
    assert "CVE-2025-23319" in finding.says
    assert finding.next_step == f"take 26.06 or newer, as {PRODUCTION}: TRITON_RELEASE in .env"


def test_the_environment_goes_before_the_file(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stack / ".env").write_text("TRITON_RELEASE=24.10\n")
    monkeypatch.setenv("TRITON_RELEASE", PRODUCTION)
    assert only(release(stack)).status == "ok"


def test_what_is_no_release_is_a_problem(stack: Path) -> None:
    (stack / ".env").write_text("TRITON_RELEASE=latest\n")
    assert only(release(stack)).status == "problem"
