"""Processors, GPUs and programs: there, absent, failing and hanging, by stand-ins."""

import pytest
from tests.serving.doctor.findings import NONE, ONE, only
from tests.serving.stand_ins import HANG, Programs

from regard.serving.doctor import processors
from regard.serving.doctor.compilers import cpp, cuda
from regard.serving.doctor.docker import docker
from regard.serving.doctor.gpu import gpu
from regard.serving.machine import asking
from regard.serving.machine.cgroup import Limits
from regard.serving.machine.gpus import Gpus

INFO = 'test $1 = info && echo \'{"ServerVersion": "28.2", "Runtimes": {RUNTIMES}}\' || echo v2.30'


def test_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    hangs = Gpus(fault="nvidia-smi gave no answer within 10 s")
    monkeypatch.setattr("regard.serving.doctor.gpu.plugged_in", lambda: 0)
    assert [only(gpu(gpus)).status for gpus in (NONE, hangs)] == ["note", "note"]
    monkeypatch.setattr("regard.serving.doctor.gpu.plugged_in", lambda: 1)
    assert [only(gpu(gpus)).status for gpus in (NONE, hangs)] == ["note", "problem"]
    assert "no driver gives" in only(gpu(NONE)).says
    finding = only(gpu(ONE))
    assert finding.status == "ok"
    assert finding.says == "Stand-in (compute capability 8.6 and 8.0 GiB), driver 550.54"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "hides" in only(gpu(ONE)).says


def test_a_control_group_that_allows_less_than_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "limits", lambda: Limits(0.5, 2**30))
    finding = only(processors.processor())
    assert (finding.status, finding.facts["limit"]) == ("note", 0.5)
    assert "allows the time of 0.5" in finding.says
    assert "a control group allows 1.0 GiB" in only(processors.memory_size()).says


def test_compilers(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    for check in (cpp, cuda):
        finding = only(check())
        assert finding.status == "note"
        assert finding.says.startswith("is not on PATH: ")
    programs(gxx="echo 12.2.0", nvcc="echo 'release 13.0, V13.0.88'")
    assert [only(check()).says for check in (cpp, cuda)] == ["12.2.0", "13.0"]
    programs(gxx="echo broken >&2; exit 1", nvcc="echo hello")
    assert only(cpp()).says.startswith("ended with code 1: broken: ")
    assert only(cuda()).says.startswith("does not tell its version: ")
    monkeypatch.setattr(asking, "SECONDS", 0.5)
    programs(nvcc=HANG)
    assert only(cuda()).says.startswith("gave no answer within 0.5 s: ")


@pytest.mark.parametrize(
    ("script", "gpus", "status", "says"),
    [
        (INFO.replace("RUNTIMES", '"runc": {}'), NONE, "ok", "28.2"),
        (INFO.replace("RUNTIMES", '"runc": {}, "nvidia": {}'), ONE, "ok", "28.2"),
        (INFO.replace("RUNTIMES", '"runc": {}'), ONE, "note", "28.2, without NVIDIA's runtime"),
        ('echo \'{"ServerVersion": ""}\'; echo Cannot connect >&2; exit 1', NONE, "note", "Cannot connect"),
        ("echo permission denied >&2; exit 1", NONE, "note", "permission denied"),
        ("echo nonsense", NONE, "note", "tells no version"),
    ],
)
def test_docker(programs: Programs, script: str, gpus: Gpus, status: str, says: str) -> None:
    programs(docker=script)
    finding = next(docker(gpus))
    assert finding.status == status
    assert says in finding.says


def test_compose(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(docker(NONE)).says.startswith("is not on PATH")
    programs(docker="test $1 = info || exit 1")
    assert [*docker(NONE)][1].status == "note"
    programs(docker_compose="echo 5.1.0")
    assert [*docker(NONE)][1].says == "5.1.0 (docker-compose)"
    programs(docker=INFO)
    assert [*docker(NONE)][1].says == "v2.30 (docker compose)"
    monkeypatch.setattr(asking, "SECONDS", 0.5)
    programs(docker=HANG)
    assert [finding.says for finding in docker(NONE)] == [
        "gave no answer within 0.5 s",
        "5.1.0 (docker-compose)",
        "is not there: our image cannot be built",
    ]


def test_buildx(programs: Programs) -> None:
    programs(docker=INFO)
    assert [*docker(NONE)][2].status == "ok"
    programs(docker='test "$1" = info || exit 1')
    assert "Debian's docker-buildx" in ([*docker(NONE)][2].next_step or "")
