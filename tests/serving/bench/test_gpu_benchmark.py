"""benchmarks/gpu on a machine without a GPU: its arithmetic, its rows, and a rehearsal on the CPU."""

import importlib
import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tests.serving.bench.test_benchmarks import FOLDER

RUN = FOLDER / "gpu" / "run.py"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a module of the folder as its script does."""
    for folder in (FOLDER, FOLDER / "gpu"):
        monkeypatch.syspath_prepend(str(folder))
    return importlib.import_module


def bench_of(module, **options):
    return module("bench").Bench(torch.device("cpu"), rounds=2, **options)


def test_floors_count_each_value_once(module):
    floors = module("floors")
    local = floors.LocalShape(2, 6, 3, 5, 4, 7)
    values, weights, answer = 2 * 6 * 8 * 11, 2 * 3 * 25 * 4 * 7, 2 * 6 * 4 * 7
    assert local.values == values + weights + answer
    assert local.operations == 2 * answer * 25
    cross = floors.CrossShape(2, 3, 5, 4, 6)
    assert cross.values == 2 * (3 + 3 + 5 + 5) * 24
    assert cross.operations == 2 * 2 * 24 * (3 + 5) * 9
    assert floors.floor_seconds(cross, 2, copy=1e3) == cross.values * 2 / 1e3


@pytest.mark.parametrize(("kernel", "met"), [(1e-4, [None, True, True]), (3e-4, [None, False, False])])
def test_a_kernel_is_held_to_the_floor_and_to_the_best_of_pytorch(module, kernel, met):
    kernels, bench = module("kernels"), bench_of(module, copy=1e12)
    shape = kernels.CrossShape(8, 64, 512, 97, 97)  # 87 us of bytes in half precision
    turns = module("bench").Turns({"kernel": kernel, "eager": 5e-4, "torch.compile": 4e-4}, {"SDPA": "no"})
    figures = kernels.judged(shape, torch.float16, turns, bench)
    assert [figure.met for figure in figures] == met
    assert figures[1].measured == pytest.approx(shape.values * 2 / 1e12 / kernel)
    assert figures[2].measured == pytest.approx(4e-4 / kernel)
    assert "torch.compile" in figures[2].name
    assert figures[0].details["errors"] == {"SDPA": "no"}
    small = kernels.judged(kernels.CrossShape(8, 64, 512, 96, 97), torch.float16, turns, bench)
    assert [figure.target for figure in small] == [None, None, None]


def test_a_form_that_fails_leaves_the_others(module):
    turns = bench_of(module).in_turns({"good": lambda: None, "bad": lambda: [][0]})
    assert turns["good"] >= 0
    assert turns.errors == {"bad": "IndexError: list index out of range"}
    with pytest.raises(RuntimeError, match="list index"):
        turns["bad"]


def test_what_it_compares_computes_the_same(module):
    kernels, bench = module("kernels"), bench_of(module)
    for shape in kernels.TINY:
        given = kernels.inputs(shape, torch.float64, bench.device)
        expected = kernels.function_of(shape)(*given)
        for name, form in kernels.forms(shape, given, bench).items():
            if not name.startswith("kernel"):
                torch.testing.assert_close(form(), expected)


def ran(module, tmp_path, *jobs, seconds=60.0):
    """Exit code, and the rows as they were written."""
    made = [module("bench").Job(f"job {place}", job) for place, job in enumerate(jobs)]
    code = module("running").run(bench_of(module), made, tmp_path / "gpu.json", seconds=seconds)
    return code, json.loads((tmp_path / "gpu.json").read_text())["figures"]


def test_a_job_that_fails_is_a_row_and_the_others_go_on(module, tmp_path, capsys):
    figure = module("figures").Figure("speed", 2.0, "s", 3, "runs", target=1.0)

    def bad(bench):
        raise ValueError("no [such] shape\nsecond line")

    code, rows = ran(module, tmp_path, lambda bench: [figure], bad, lambda bench: [figure])
    assert code == 1
    assert [row["measured"] for row in rows] == [2.0, None, 2.0]
    assert rows[1]["details"]["error"] == "ValueError: no [such] shape"
    shown = capsys.readouterr().out
    assert "missed" in shown
    assert "[such]" in shown


def test_what_is_not_present_is_no_failure(module, tmp_path):
    def absent(bench):
        raise module("bench").NotPresent("tensorrt is not installed")

    code, rows = ran(module, tmp_path, absent)
    assert code == 0
    assert rows[0]["details"]["error"] == "not present: tensorrt is not installed"
    code, rows = ran(module, tmp_path, lambda bench: [], seconds=-1)
    assert code == 0
    assert "time" in rows[0]["details"]["error"]


@pytest.mark.parametrize("error", [1.0, math.nan])
def test_a_wrong_kernel_fails_the_run(module, tmp_path, error):
    figure = module("figures").Figure("right: x", error, "", 3, "shapes", target=1e-3)
    assert ran(module, tmp_path, lambda bench: [figure])[0] == 1


def test_without_a_gpu_it_says_so_in_a_word(module, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert module("run").main([]) == 3
    assert len(capsys.readouterr().err.split()) == 1


def test_a_part_whose_packages_are_missing_is_a_job_that_fails(module, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "networks", None)
    jobs = module("run").planned("networks", bench_of(module), None)
    code, rows = ran(module, tmp_path, *(job.run for job in jobs))
    assert code == 1
    assert "networks" in rows[0]["details"]["error"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton's language is not installed")
def test_rehearsal_with_interpreted_kernels():
    command = [sys.executable, str(RUN), "--rehearse", "--only", "ceilings", "kernels", "tiles"]
    rehearsal = subprocess.run(command, capture_output=True, text=True)
    assert rehearsal.returncode == 0, rehearsal.stdout + rehearsal.stderr
    result = json.loads(Path(rehearsal.stderr.split("-> ")[-1].strip()).read_text())
    assert all(figure["measured"] is not None for figure in result["figures"])
    assert all(figure["details"].get("errors", {}) == {} for figure in result["figures"][-5:])
    assert result["quick"] is True
