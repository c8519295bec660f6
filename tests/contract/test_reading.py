"""Cards of other schemas: earlier ones are brought up, unknown fields left out, later ones refused."""

import json
import warnings
from typing import Any

import pytest

from regard.contract.answers import Classes, LabelMap
from regard.contract.reading import card_from_json
from regard.errors import InvalidInput

OLD: dict[str, Any] = {
    "schema_version": 1,
    "name": "old",
    "task": "classification",
    "input": {"height": 28, "width": 32, "resize": "stretch", "mean": [0.5, 0.4, 0.3]},
    "output": {"labels": ["shirt", "shoe"], "palette": None, "ignore_index": None},
    "origin": {"builder": "se_resnet18"},
    "certificates": [],
}


def read(fields: dict[str, Any]) -> Any:
    return card_from_json(json.dumps(fields), source="here")


def test_a_classifier_of_schema_1() -> None:
    card = read(OLD)
    assert (card.schema_version, card.task, card.input.mean) == (2, "classification", (0.5, 0.4, 0.3))
    assert card.answer == Classes(labels=("shirt", "shoe"))
    assert read(json.loads(card.to_json())) == card


def test_a_segmenter_of_schema_1() -> None:
    output = {"labels": ["a", "b"], "palette": [[0, 0, 0], [1, 2, 3]], "ignore_index": 255}
    card = read(OLD | {"task": "segmentation", "output": output})
    assert card.answer == LabelMap(labels=("a", "b"), palette=((0, 0, 0), (1, 2, 3)), ignore_index=255)


@pytest.mark.parametrize("changes", [{"task": "detection"}, {"input": 3}, {"output": None}])
def test_a_broken_card_of_schema_1(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="here is not a valid Card: (inputs|answer)"):
        read(OLD | changes)


def test_unknown_fields_are_left_out_and_said_once() -> None:
    card = read(OLD)
    later = json.loads(card.to_json())
    later["colour_space"] = "srgb"
    later["inputs"][0]["gamma"] = 2.2
    later["answer"]["hierarchy"] = {"shirt": "clothes"}
    with pytest.warns(UserWarning, match="colour_space, gamma, hierarchy"):
        assert read(later) == card
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(later) == card


def test_an_unknown_field_does_not_hide_a_fault() -> None:
    later = json.loads(read(OLD).to_json()) | {"colour_space": "srgb", "name": "a/b"}
    with pytest.raises(InvalidInput, match="not a valid Card: name"):
        read(later)


def test_a_later_schema_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"here is a Card of schema 3, .* up to 2; install a newer"):
        read(OLD | {"schema_version": 3})
