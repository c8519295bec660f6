"""The report says what was counted."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults import report
from tests.faults.catalog import FAULTS
from tests.faults.picture import draw
from tests.faults.run import BIN, Counts, Result, binned
from tests.faults.tally import LOST, REFUSED, RIGHT, Call


def result(*, lost: int = 0, faults: list[str] | None = None) -> Result:
    calls = [Call("a", 0.0, 0.1, RIGHT)] * 5 + [Call("a", 0.3, 0.4, LOST, "a wrong answer")] * lost
    others = [Call("b", 0.0, 0.1, REFUSED, "UNAVAILABLE")] * 2
    return Result(
        where="serve",
        name="a fault",
        says="Something is done.",
        own="the crowd",
        standing=Counts.of(calls),
        others=Counts.of(others),
        outage=1.25,
        seconds=2.0,
        bins=binned(calls, 0.0, 2.0),
        events=[(0.5, "kill -9")],
        notes=["a note"],
        faults=faults or [],
        command="python -m tests.faults",
    )


def test_every_count_is_a_row() -> None:
    text = report.page([result()])
    assert "| serve | a fault | standing | 5 | 5 | 0 | 0 | 1.2 s |" in text
    assert "| | | the crowd | 2 | 0 | 2 (2 UNAVAILABLE) | 0 | |" in text
    assert "- `python -m tests.faults`: 0.0 minutes" in text
    assert "- 0.5 s: kill -9\n- a note" in text
    assert "1 of 1 are as they must be" in text


@pytest.mark.parametrize("bad", [result(lost=1), result(faults=["the server died"])], ids=["lost", "dead"])
def test_what_is_wrong_is_said(bad: Result) -> None:
    assert not bad.good
    text = report.page([result(), bad])
    assert "1 of 2 are as they must be" in text
    assert "**wrong**" in text


def test_answers_are_drawn_when_they_came(tmp_path: Path) -> None:
    assert result(lost=2).bins[:2] == [(5, 0), (0, 2)]
    assert len(result().bins) == int(2.0 / BIN) + 1
    draw([result()], tmp_path / "faults.png")
    assert (tmp_path / "faults.png").stat().st_size > 1000


def test_what_is_measured_again_takes_the_place_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RESULTS", "PAGE", "PICTURE"):
        monkeypatch.setattr(report, name, tmp_path / getattr(report, name).name)
    named = [replace(result(), name=fault.name) for fault in FAULTS[:2]]
    report.write(named)
    report.write([replace(named[0], outage=7.0)])
    assert [each.outage for each in report.kept()] == [7.0, 1.25]
    assert report.kept()[1].standing == named[1].standing
    assert report.PAGE.read_text().count("| standing |") == 2


def test_the_page_holds_every_fault() -> None:
    text = report.PAGE.read_text()
    assert report.HEAD in text
    assert [fault.name for fault in FAULTS if f"| {fault.name} |" not in text] == []
