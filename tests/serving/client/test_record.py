"""Predictions in a file, for other programs."""

import csv
import json
import os
from pathlib import Path

import pytest

from regard.contract.results import Classification
from regard.errors import InvalidInput
from regard.serving.client.output import Entry
from regard.serving.client.record import check_suffix, write_record

BAG = Classification("bag", 0.75, (("bag", 0.75), ("coat", 0.25)), ("bag", "coat"))
CLASSES = [
    Entry(Path("a, b.png"), BAG, {"heat": Path("out/a_heat.png")}),
    Entry(Path("c.png"), InvalidInput('c.png: "no" image'), {}),
]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_classes_in_rows(tmp_path: Path) -> None:
    write_record(CLASSES, tmp_path / "new" / "answers.csv")
    good, bad = rows(tmp_path / "new" / "answers.csv")
    assert good == {
        "image": "a, b.png",
        "label": "bag",
        "probability": "0.75",
        "label 2": "coat",
        "probability 2": "0.25",
        "labels": "bag; coat",
        "heat": "out/a_heat.png",
        "error": "",
    }
    assert {column: cell for column, cell in bad.items() if cell} == {
        "image": "c.png",
        "error": 'c.png: "no" image',
    }


def test_areas_in_rows(tmp_path: Path) -> None:
    path = tmp_path / "answers.CSV"
    write_record([Entry(Path("a.png"), {"image": 0.5, "sky": 0.0}, {"mask": Path("a_mask.png")})], path)
    assert rows(path) == [
        {
            "image": "a.png",
            "area of image": "0.5",
            "area of sky": "0.0",
            "mask": "a_mask.png",
            "error": "",
        }
    ]


def test_an_object_a_line(tmp_path: Path) -> None:
    write_record(CLASSES, tmp_path / "answers.jsonl")
    lines = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [entry.to_json() for entry in CLASSES]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_name_that_is_no_utf8(tmp_path: Path, suffix: str) -> None:
    name = os.fsdecode(b"b\xff.png")
    write_record([Entry(Path(name), BAG, {})], tmp_path / f"answers{suffix}")
    written = (tmp_path / f"answers{suffix}").read_bytes()
    assert (b"b\xff.png" if suffix == ".csv" else b"b\\udcff.png") in written


def test_another_suffix() -> None:
    with pytest.raises(InvalidInput, match=r"'answers.txt'; end its name in .csv or .jsonl"):
        check_suffix(Path("answers.txt"))
