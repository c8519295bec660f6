"""The Card: round trip, each rule broken once, and certificates that NaN cannot pass."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from regard.contract.card import (
    Card,
    Certificate,
    Comparison,
    InputContract,
    OutputContract,
    card_from_file,
    card_from_json,
    card_from_mapping,
)
from regard.errors import InvalidInput


def fields(**changes: Any) -> dict[str, Any]:
    """A valid Card with every field given; a dotted key changes a nested one."""
    card: dict[str, Any] = {
        "schema_version": 1,
        "name": "se_resnet18_garments",
        "task": "classification",
        "input": {
            "height": 28,
            "width": 32,
            "resize": "stretch",
            "interpolation": "bicubic",
            "crop": 0.875,
            "mean": (0.5, 0.4, 0.3),
            "std": (0.2, 0.25, 0.3),
            "dynamic_size": False,
            "min_size": 8,
            "max_size": 640,
            "max_batch": 4,
        },
        "output": {
            "labels": ("shirt", "shoe", "été ✓"),
            "palette": ((0, 0, 0), (255, 255, 255), (1, 2, 3)),
            "ignore_index": 255,
        },
        "origin": {
            "builder": "se_resnet18",
            "options": {"num_classes": 3, "width": 16, "nested": {"a": [1, 2]}},
            "weights_sha256": "0" * 64,
            "recipe": "r.toml",
            "data": "somebody's",
            "licence": "MIT",
            "metrics": {"top1": 0.9375, "loss": 1e-17},
        },
        "tools": {"torch": "2.13"},
        "certificates": (
            {
                "reference": "torch",
                "candidate": "onnx",
                "images": "samples",
                "max_error": 1e-4,
                "min_agreement": 1.0,
                "comparisons": (comparison(),),
            },
        ),
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        place = card
        for step in path:
            place = place[step]
        place[last] = value
    return card


def comparison(**changes: Any) -> dict[str, Any]:
    whole = {
        "batch": 2,
        "height": 28,
        "width": 28,
        "traced": True,
        "max_error": 1e-6,
        "relative_error": 1e-5,
        "agreement": 1.0,
    }
    return whole | changes


def segmentation(**changes: Any) -> dict[str, Any]:
    base = {
        "task": "segmentation",
        "input__resize": "none",
        "input__dynamic_size": True,
        "input__height": 64,
        "input__width": 96,
        "input__min_size": 32,
    }
    return fields(**base | changes)


def test_json_round_trip() -> None:
    card = card_from_mapping(fields(), source="test")
    again = card_from_json(card.to_json(), source="test")
    assert again == card
    assert again.to_json() == card.to_json()
    assert json.loads(card.to_json())["input"]["mean"] == [0.5, 0.4, 0.3]
    assert card_from_json(card.to_json().encode(), source="bytes") == card


def test_defaults_round_trip() -> None:
    minimal = {
        "name": "a",
        "task": "segmentation",
        "input": {"height": 64, "width": 64, "resize": "none", "dynamic_size": True},
        "output": {"labels": ["x"]},
        "origin": {"builder": "b"},
    }
    card = card_from_mapping(minimal, source="test")
    assert card.input.mean == (0.485, 0.456, 0.406)
    assert card.input.std == (0.229, 0.224, 0.225)
    assert card.certificates == ()
    assert card_from_json(card.to_json(), source="test") == card


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(card_from_mapping(fields(), source="test").to_json())
    assert card_from_file(path) == card_from_mapping(fields(), source="test")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"cannot read the Card .*none\.json: No such file.*beside the model"
    ):
        card_from_file(tmp_path / "none.json")
    with pytest.raises(InvalidInput, match="cannot read the Card"):
        card_from_file(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "3", '"x"', "{}", '{"name": "a"}', b"\xff\xfe\x00"])
def test_text_that_is_no_card(text: str | bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^here\.json is not a valid Card: "):
        card_from_json(text, source="here.json")


RULES = [
    ("name", "", "name"),
    ("name", ".hidden", "name"),
    ("name", "a/b", "name"),
    ("name", "../up", "name"),
    ("name", "a b", "name"),
    ("name", "a\n", "name"),
    ("name", "a" * 129, "name"),
    ("task", "detection", "task"),
    ("schema_version", 2, "schema_version"),
    ("surprise", 1, "surprise"),
    ("input__surprise", 1, "input.surprise"),
    ("output__surprise", 1, "output.surprise"),
    ("origin__surprise", 1, "origin.surprise"),
    ("input__height", 0, "input.height"),
    ("input__width", -3, "input.width"),
    ("input__height", 2.5, "input.height"),
    ("input__min_size", 0, "input.min_size"),
    ("input__max_size", 0, "input.max_size"),
    ("input__max_batch", 0, "input.max_batch"),
    ("input__resize", "zoom", "input.resize"),
    ("input__interpolation", "lanczos", "input.interpolation"),
    ("input__crop", 0, "input.crop"),
    ("input__crop", 1.01, "input.crop"),
    ("input__crop", math.nan, "input.crop"),
    ("input__mean", (0.5, 0.5), "input.mean"),
    ("input__mean", (0.5, math.nan, 0.5), "mean|finite"),
    ("input__std", (0.5, 0.5, 0.5, 0.5), "input.std"),
    ("input__std", (0.2, 0.0, 0.2), "std must be positive"),
    ("input__std", (0.2, 0.2, -0.2), "std must be positive"),
    ("input__std", (math.nan, 0.2, 0.2), "std|finite"),
    ("input__std", (0.2, math.nan, 0.2), "std|finite"),
    ("input__std", (math.inf, 0.2, 0.2), "std|finite"),
    ("input__resize", "none", "'none' exactly where dynamic_size"),
    ("input__dynamic_size", True, "'none' exactly where dynamic_size"),
    ("output__labels", (), "output.labels"),
    ("output__labels", ("a", 3, "b"), "output.labels"),
    ("output__palette", ((0, 0, 0),), "palette has 1 colours for 3 labels"),
    ("output__palette", (), "palette has 0 colours for 3 labels"),
    ("output__palette", ((0, 0, 256), (0, 0, 0), (0, 0, 0)), "output.palette"),
    ("output__palette", ((0, 0, -1), (0, 0, 0), (0, 0, 0)), "output.palette"),
    ("output__palette", ((0, 0), (0, 0, 0), (0, 0, 0)), "output.palette"),
    ("output__ignore_index", "void", "output.ignore_index"),
    ("certificates", ({"reference": "torch"},), "certificates.0.candidate"),
]


@pytest.mark.parametrize(
    ("field", "value", "message"), RULES, ids=[f"{field}={value!r:.20}" for field, value, _ in RULES]
)
def test_each_rule(field: str, value: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^the test is not a valid Card: (.*)({message})"):
        card_from_mapping(fields(**{field: value}), source="the test")


def test_the_unbroken_card_is_valid() -> None:
    """So that the tests above fail for the reason they name."""
    card_from_mapping(fields(), source="test")
    card_from_mapping(segmentation(), source="test")


@pytest.mark.parametrize("field", ["name", "task", "input", "output", "origin"])
def test_required_fields(field: str) -> None:
    whole = fields()
    del whole[field]
    with pytest.raises(InvalidInput, match=rf"{field}: Field required"):
        card_from_mapping(whole, source="test")


@pytest.mark.parametrize(
    "changes",
    [
        {"input__height": 31},
        {"input__width": 16},
        {"input__height": 700},
        {"input__width": 641},
        {"input__min_size": 900},
    ],
)
def test_dynamic_size_bounds_hold_the_training_size(changes: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="between min_size and max_size"):
        card_from_mapping(segmentation(**changes), source="test")


def test_a_label_map_holds_256_labels() -> None:
    card_from_mapping(
        segmentation(
            output__labels=tuple(map(str, range(256))), output__palette=None, output__ignore_index=None
        ),
        source="test",
    )
    with pytest.raises(InvalidInput, match="at most 256 labels, got 257"):
        card_from_mapping(
            segmentation(
                output__labels=tuple(map(str, range(257))), output__palette=None, output__ignore_index=None
            ),
            source="test",
        )
    card_from_mapping(
        fields(output__labels=tuple(map(str, range(1000))), output__palette=None, output__ignore_index=None),
        source="test",
    )


def test_all_faults_are_listed() -> None:
    with pytest.raises(InvalidInput) as caught:
        card_from_mapping(fields(input__height=0, output__labels=(), task="x"), source="test")
    for name in ("input.height", "output.labels", "task"):
        assert name in str(caught.value)


def test_is_frozen() -> None:
    card = card_from_mapping(fields(), source="test")
    with pytest.raises(ValidationError):
        card.name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        card.input.height = 3  # type: ignore[misc]


def test_updated() -> None:
    card = card_from_mapping(fields(), source="test")
    other = card.updated(name="other", certificates=())
    assert (other.name, other.certificates) == ("other", ())
    assert other.input == card.input
    assert card.name == "se_resnet18_garments"
    with pytest.raises(InvalidInput, match="the Card of se_resnet18_garments is not a valid Card: name"):
        card.updated(name="a/b")
    with pytest.raises(InvalidInput, match="nmae"):
        card.updated(nmae="x")


def certificate(*comparisons: dict[str, Any], **bounds: float) -> Certificate:
    limits = {"max_error": 1e-4, "min_agreement": 0.999} | bounds
    return Certificate(
        reference="a",
        candidate="b",
        images="c",
        comparisons=tuple(Comparison(**c) for c in comparisons),
        **limits,
    )


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, True),
        ({"max_error": 1e-4, "agreement": 0.999}, True),
        ({"max_error": 1.01e-4}, False),
        ({"agreement": 0.998}, False),
        ({"max_error": math.nan}, False),
        ({"agreement": math.nan}, False),
        ({"max_error": math.inf}, False),
        ({"max_error": 1.0, "agreement": 0.0}, False),
    ],
)
def test_certificate(changes: dict[str, float], passed: bool) -> None:
    assert certificate(comparison(**changes)).passed is passed
    assert certificate(comparison(), comparison(**changes)).passed is passed
    assert certificate(comparison(**changes), comparison()).passed is passed


@pytest.mark.parametrize("bounds", [{"max_error": math.nan}, {"min_agreement": math.nan}])
def test_nan_as_a_bound_passes_nothing(bounds: dict[str, float]) -> None:
    assert certificate(comparison(), **bounds).passed is False


def test_a_certificate_needs_a_comparison() -> None:
    with pytest.raises(ValidationError, match="comparisons"):
        certificate()


def test_a_failed_certificate_stays_readable() -> None:
    """The Card of a failed export is kept for study: NaN must survive the file and still not pass."""
    failed = certificate(comparison(max_error=math.nan, relative_error=math.nan, agreement=math.nan))
    card = card_from_mapping(fields(), source="test").updated(certificates=(failed.model_dump(),))
    again = card_from_json(card.to_json(), source="the kept draft")
    assert again.certificates[0].passed is False
    assert math.isnan(again.certificates[0].comparisons[0].max_error)


def test_a_metric_that_is_nan_stays_readable() -> None:
    """The IoU of a class that the split lacks is NaN; the trainer writes it into the Card."""
    card = card_from_mapping(fields(origin__metrics={"mean_iou": 0.5, "iou_x": math.nan}), source="test")
    metrics = card_from_json(card.to_json(), source="its own text").origin.metrics
    assert metrics["mean_iou"] == 0.5
    assert math.isnan(metrics.get("iou_x", math.nan))


def test_contracts_can_be_made_alone() -> None:
    assert InputContract(height=2, width=2, resize="stretch").crop == 1
    assert OutputContract(labels=("a",)).palette is None
    assert isinstance(card_from_mapping(fields(), source="test"), Card)
