"""The page of the Card names every field of its records, with an example that is valid."""

import json
import re
from pathlib import Path

import pytest

from regard.contract.answers import Classes, ImageAnswer, LabelMap, Points, Sequence
from regard.contract.card import Card, Origin
from regard.contract.certificate import Certificate, Comparison
from regard.contract.inputs import FramesInput, ImageInput, TokensInput
from regard.contract.reading import card_from_json
from regard.contract.record import Record
from regard.contract.state import State, StateTensor

PAGE = (Path(__file__).parents[2] / "docs" / "card.md").read_text(encoding="utf-8")
RECORDS = (
    *(Card, ImageInput, FramesInput, TokensInput, Classes, LabelMap, Sequence, Points, ImageAnswer),
    *(State, StateTensor, Origin, Certificate, Comparison),
)


def rows_of(record: type[Record]) -> dict[str, list[str]]:
    """Name -> the cells behind it, of the table below the record's heading."""
    section = PAGE.split(f"\n## {record.__name__}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    return {row[0].strip("`"): row[1:] for row in rows if row[0].startswith("`")}


@pytest.mark.parametrize("record", RECORDS)
def test_every_field_has_a_row(record: type[Record]) -> None:
    assert rows_of(record).keys() == record.model_fields.keys()


@pytest.mark.parametrize("record", RECORDS)
def test_defaults_are_stated(record: type[Record]) -> None:
    required = {name for name, field in record.model_fields.items() if field.is_required()}
    assert {name for name, (_, default, _) in rows_of(record).items() if default == "-"} == required


@pytest.mark.parametrize("record", RECORDS)
def test_the_examples_are_valid(record: type[Record]) -> None:
    fields = {name: json.loads(cells[-1].strip("`")) for name, cells in rows_of(record).items()}
    record.model_validate_json(json.dumps(fields))


def test_the_whole_cards_are_valid() -> None:
    cards = [card_from_json(text, source="the page") for text in re.findall(r"```json\n(.*?)```", PAGE, re.S)]
    assert [card.task for card in cards] == ["classification", "segmentation", "question_answering"]
