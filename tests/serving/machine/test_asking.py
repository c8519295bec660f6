"""Programs that answer, are missing, fail, crash, hang."""

import os
from pathlib import Path

import pytest
from tests.serving.stand_ins import Programs

from regard.serving.machine import asking
from regard.serving.machine.asking import ask, probe


def test_a_program_that_answers(programs: Programs) -> None:
    programs(tool='echo "1.2 of $1"; echo careful >&2')
    answer = ask("tool", "all")
    assert (answer.output, answer.errors, answer.fault) == ("1.2 of all\n", "careful\n", None)


def test_one_that_is_missing(programs: Programs) -> None:
    assert ask("tool").missing


def test_one_that_is_not_ours_to_run(programs: Programs, tmp_path: Path) -> None:
    programs(tool="exit 0")
    (tmp_path / "programs" / "tool").write_text("no program")
    answer = ask("tool")
    assert answer.fault is not None
    assert answer.fault.startswith("cannot be run: Exec format error")


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("echo first; echo no such thing >&2; exit 3", "ended with code 3: no such thing"),
        ("echo said on stdout; exit 9", "ended with code 9: said on stdout"),
        ("exit 1", "ended with code 1"),
        ("kill -SEGV $$", "was ended by signal 11 (Segmentation fault)"),
    ],
)
def test_one_that_fails(programs: Programs, script: str, fault: str) -> None:
    programs(tool=script)
    assert ask("tool").fault == fault


def test_one_that_hangs_is_ended_with_what_it_started(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "SECONDS", 1.0)
    programs(tool=f"/bin/sleep 300 & echo $! > {tmp_path}/pid; wait")
    assert ask("tool").fault == "gave no answer within 1 s"
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"  # nobody's child waits for its burial


def test_one_that_waits_for_input_gets_none(programs: Programs) -> None:
    programs(tool="read line || echo none")
    assert ask("tool").output == "none\n"


def test_a_library_that_is_asked(modules: Programs) -> None:
    modules(tensorrt="print('[TRT] loading'); __version__ = '10.5.0'")
    facts, answer = probe("tensorrt_facts", "tensorrt")
    assert (facts, answer.fault) == ({"version": "10.5.0"}, None)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            "raise ImportError('libnvinfer.so.10: cannot open')",
            "ended with code 1: ImportError: libnvinfer.so.10",
        ),
        ("import os; os.abort()", "was ended by signal 6 (Aborted)"),
        ("import os; os._exit(0)", "ended without an answer"),
    ],
)
def test_a_library_that_takes_its_process_down(modules: Programs, source: str, fault: str) -> None:
    modules(tensorrt=source)
    facts, answer = probe("tensorrt_facts", "tensorrt")
    assert facts == {}
    assert (answer.fault or "").startswith(fault)


def test_a_library_that_hangs(modules: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PROBE_SECONDS", 0.5)
    modules(tensorrt="import time; time.sleep(300)")
    assert probe("tensorrt_facts", "tensorrt")[1].fault == "gave no answer within 0.5 s"


def test_the_environment_is_passed_on(programs: Programs) -> None:
    programs(tool='echo "$HOME $LC_ALL"')
    assert ask("tool").output == f"{os.environ['HOME']} C\n"
