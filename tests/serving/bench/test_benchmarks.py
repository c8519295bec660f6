"""The committed benchmarks' own machinery: targets, and the page written from the results."""

import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from regard.models.listing import list_networks

FOLDER = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/harness.py, imported as the scripts do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import harness

    return harness


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/report.py, likewise."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import report

    return report


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/catalog.py, likewise."""
    pytest.importorskip("tensorrt_rtx")  # the page names its version
    monkeypatch.syspath_prepend(str(FOLDER))
    import catalog

    return catalog


@pytest.mark.parametrize(
    ("measured", "better", "met"),
    [
        (0.95, "at least", True),
        (0.9, "at least", False),
        (0.9, "at most", True),
        (math.nan, "at most", False),
    ],
)
def test_a_target_is_met_or_not(harness: ModuleType, measured: float, better: str, met: bool) -> None:
    assert harness.Figure("f", measured, "", 1, "rounds", target=0.93, better=better).met is met
    assert harness.Figure("f", measured, "", 1, "rounds").met is None


def test_run_writes_quick_results_apart_and_without_nan(
    harness: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(harness.tempfile, "mkdtemp", lambda prefix: str(tmp_path / "quick"))
    figures = [harness.Figure("speed", math.nan, "s", 3, "runs", target=1.0)]
    for options, folder in (["--quick"], "quick"), ([], "results"):
        monkeypatch.setattr("sys.argv", ["x.py", *options])
        harness.run("x", "a purpose", lambda quick: figures)
        written = json.loads((tmp_path / folder / "x.json").read_text())
        assert written["figures"][0]["measured"] is None
        assert written["figures"][0]["met"] is False
        assert written["quick"] is bool(options)
    assert "speed" in capsys.readouterr().out


def result(**changes: Any) -> dict[str, Any]:
    """A result as harness.run writes it."""
    figure = {
        "name": "export",
        "measured": 41.234,
        "unit": "s",
        "n": 3,
        "of": "exports",
        "target": 60.0,
        "better": "at most",
    }
    machine = {"processor": "CPU", "processors": 2, "memory_gib": 8.0, "system": "Linux"}
    fields = {
        "name": "time_to_serve",
        "purpose": "time to serve",
        "command": "python benchmarks/time_to_serve.py",
        "quick": False,
    }
    fields |= {"load_average_before": 0.1}
    return fields | {
        "figures": [figure | {"half_width": None, "met": True, "details": {}} | changes],
        "machine": machine,
        "versions": {"torch": "2"},
    }


def test_the_page_shows_every_figure_and_every_miss(report: ModuleType) -> None:
    page = report.readme({"time_to_serve": result()})
    assert "## Time to serve\n\n`python benchmarks/time_to_serve.py`: time to serve.\n" in page
    assert "| export | at most 60 s | 41.2 s | yes | 3 exports |" in page
    assert f"Not measured yet: {', '.join(name for name in report.ORDER if name != 'time_to_serve')}." in page
    assert "**no**" in report.readme({"time_to_serve": result(met=False, measured=70.0)})
    page = report.readme({"time_to_serve": result(details={"versions": {"litserve": "0.2"}})})
    assert "torch 2, litserve 0.2 |" in page
    assert "| - s |" in report.readme({"time_to_serve": result(met=False, measured=None)})


def test_quick_results_do_not_count(report: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "time_to_serve.json").write_text(json.dumps(result()))
    (tmp_path / "wire_bytes.json").write_text(json.dumps(result() | {"quick": True}))
    assert list(report.read_results(tmp_path)) == ["time_to_serve"]


def test_the_catalogs_page_shows_its_facts(catalog: ModuleType) -> None:
    """Its tables, that is: what stands above and below names versions and the machine."""
    written, expected = (
        [line for line in page.splitlines() if line.startswith("|")]
        for page in (catalog.PAGE.read_text(), catalog.page(list_networks()))
    )
    assert written == expected, "run `python benchmarks/catalog.py --count`"
    assert any("not timed" in line for line in written)
