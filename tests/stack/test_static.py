"""Each static check of the deployment's files passes, and can fail."""

import shutil
from pathlib import Path

import pytest
from tests.stack import static
from tests.stack.engine import EngineError

pytestmark = pytest.mark.stack  # the checks need promtool

# file, what is there, what is written instead, and what the check then says
FAULTS = {
    "compose": ("docker-compose.yml", "    read_only: true", "    readonly: true", "readonly"),
    "dockerfiles": ("docker/Dockerfile", "FROM ${BASE}", "FROM ubuntu", "DL3006"),
    "gateway": ("docker/gateway/routes.yaml", "retry_on:", "retryon:", "retryon"),
    "chart": (
        "serving/deploy/helm/regard/values.yaml",
        "sharedMemory: 1Gi",
        "sharedMemory: 1GB",
        "sharedMemory",
    ),
    "prometheus": ("docker/prometheus/rules/regard.yml", "up{", "up{{", "parse error"),
}


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The deployment's files, for a fault to be put in."""
    for file in (*static.ROOT.glob("docker-compose*.yml"), static.ROOT / ".env"):
        shutil.copy(file, tmp_path)
    for folder in ("docker", "serving/deploy/helm", "tests/docker", "tests/stack/images"):
        shutil.copytree(static.ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(static, "ROOT", tmp_path)
    monkeypatch.setattr(static, "DOCKER", tmp_path / "docker")
    monkeypatch.setattr(static, "CHART", tmp_path / "serving" / "deploy" / "helm" / "regard")
    return tmp_path


@pytest.mark.parametrize("name", [check.__name__ for check in static.CHECKS])
def test_a_check_passes_and_tells_a_fault(name: str, copied: Path) -> None:
    check = getattr(static, name)
    file, there, instead, said = FAULTS[name]
    check()
    text = (copied / file).read_text()
    assert there in text
    (copied / file).write_text(text.replace(there, instead))
    with pytest.raises(EngineError, match=said):
        check()


def test_a_failed_check_does_not_keep_the_next_from_running(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def first() -> None:
        """Fails."""
        raise EngineError("promtool is not installed: apt-get install prometheus")

    def second() -> None:
        """Passes."""

    monkeypatch.setattr(static, "CHECKS", (first, second))
    assert static.main() == 1
    shown = capsys.readouterr()
    assert shown.out == "first: Fails.\nsecond: Passes.\n"
    assert "apt-get install prometheus" in shown.err
