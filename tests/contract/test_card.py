"""The Card: round trip, each rule broken once, and certificates that NaN cannot pass."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from regard.contract.answers import LabelMap
from regard.contract.card import Card, card_from_mapping
from regard.contract.certificate import Certificate, Comparison
from regard.contract.image_input import ImageInput
from regard.contract.reading import card_from_file, card_from_json
from regard.errors import InvalidInput


def fields(**changes: Any) -> dict[str, Any]:
    """A valid Card with every field given; two underscores lead into a field or its first entry."""
    card: dict[str, Any] = {
        "schema_version": 2,
        "name": "se_resnet18_garments",
        "inputs": [
            {
                "kind": "image",
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
                "channels": 3,
                "max_batch": 4,
            }
        ],
        "answer": {"kind": "classes", "labels": ("shirt", "shoe", "été ✓")},
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
        place: Any = card
        for step in path:
            place = place[step]
            place = place[0] if isinstance(place, list) else place
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
        "answer": {
            "kind": "label_map",
            "labels": ("sky", "road", "été ✓"),
            "palette": ((0, 0, 0), (255, 255, 255), (1, 2, 3)),
            "ignore_index": 255,
        },
        "inputs__resize": "none",
        "inputs__dynamic_size": True,
        "inputs__height": 64,
        "inputs__width": 96,
        "inputs__min_size": 32,
    }
    return fields(**base | changes)


def test_json_round_trip() -> None:
    card = card_from_mapping(fields(), source="test")
    again = card_from_json(card.to_json(), source="test")
    assert again == card
    assert again.to_json() == card.to_json()
    assert json.loads(card.to_json())["inputs"][0]["mean"] == [0.5, 0.4, 0.3]
    assert card_from_json(card.to_json().encode(), source="bytes") == card


def test_defaults_round_trip() -> None:
    minimal = {
        "name": "a",
        "inputs": [{"kind": "image", "height": 64, "width": 64, "resize": "none", "dynamic_size": True}],
        "answer": {"kind": "label_map", "labels": ["x", "y"]},
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
    ("answer__kind", "boxes", "answer"),
    ("schema_version", 3, "schema_version"),
    ("surprise", 1, "surprise"),
    ("inputs__surprise", 1, "inputs.0.image.surprise"),
    ("answer__surprise", 1, "answer.(classes|label_map).surprise"),
    ("origin__surprise", 1, "origin.surprise"),
    ("inputs__height", 0, "inputs.0.image.height"),
    ("inputs__width", -3, "inputs.0.image.width"),
    ("inputs__height", 2.5, "inputs.0.image.height"),
    ("inputs__min_size", 0, "inputs.0.image.min_size"),
    ("inputs__max_size", 0, "inputs.0.image.max_size"),
    ("inputs__max_batch", 0, "inputs.0.image.max_batch"),
    ("inputs__resize", "zoom", "inputs.0.image.resize"),
    ("inputs__interpolation", "lanczos", "inputs.0.image.interpolation"),
    ("inputs__crop", 0, "inputs.0.image.crop"),
    ("inputs__crop", 1.01, "inputs.0.image.crop"),
    ("inputs__crop", math.nan, "inputs.0.image.crop"),
    ("inputs__mean", (0.5, 0.5), "mean has 2 values for 3 channels"),
    ("inputs__mean", (0.5, math.nan, 0.5), "mean|finite"),
    ("inputs__std", (0.5, 0.5, 0.5, 0.5), "std has 4 values for 3 channels"),
    ("inputs__std", (0.2, 0.0, 0.2), "std must be positive"),
    ("inputs__std", (0.2, 0.2, -0.2), "std must be positive"),
    ("inputs__std", (math.nan, 0.2, 0.2), "std|finite"),
    ("inputs__std", (0.2, math.nan, 0.2), "std|finite"),
    ("inputs__std", (math.inf, 0.2, 0.2), "std|finite"),
    ("inputs__resize", "none", "'none' exactly where dynamic_size"),
    ("inputs__dynamic_size", True, "'none' exactly where dynamic_size"),
    ("answer__labels", (), "answer.(classes|label_map).labels"),
    ("answer__labels", ("a", 3, "b"), "answer.(classes|label_map).labels"),
    ("answer__labels", ("a",), "one label alone has probability 1 by softmax"),
    ("answer__thresholds", (0.5, 0.5, 0.5), "thresholds are for activation 'sigmoid'"),
    ("answer__activation", "tanh", "answer.classes.activation"),
    ("inputs__channels", 4, "inputs.0.image.channels"),
    ("inputs__channels", 1, "mean has 3 values for 1 channels"),
    ("inputs__pad_to", 0, "inputs.0.image.pad_to"),
    ("inputs__pad_to", 32, "pad_to is for segmentation"),
    ("certificates", ({"reference": "torch"},), "certificates.0.candidate"),
]


LABEL_MAP_RULES = [
    ("answer__palette", ((0, 0, 0),), "palette has 1 colours for 3 labels"),
    ("answer__palette", (), "palette has 0 colours for 3 labels"),
    ("answer__palette", ((0, 0, 256), (0, 0, 0), (0, 0, 0)), "answer.(classes|label_map).palette"),
    ("answer__palette", ((0, 0, -1), (0, 0, 0), (0, 0, 0)), "answer.(classes|label_map).palette"),
    ("answer__palette", ((0, 0), (0, 0, 0), (0, 0, 0)), "answer.(classes|label_map).palette"),
    ("answer__ignore_index", "void", "answer.(classes|label_map).ignore_index"),
    ("answer__labels", ("a",), "one label alone is every pixel's"),
    ("answer__activation", "sigmoid", "one score and two labels.*got 3"),
    ("answer__threshold", 0.5, "threshold is for activation 'sigmoid'"),
    ("answer__thresholds", (0.5,), "answer.label_map.thresholds"),
]


@pytest.mark.parametrize(("field", "value", "message"), LABEL_MAP_RULES)
def test_each_rule_of_a_label_map(field: str, value: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^the test is not a valid Card: (.*)({message})"):
        card_from_mapping(segmentation(**{field: value}), source="the test")


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


@pytest.mark.parametrize("field", ["name", "inputs", "answer", "origin"])
def test_required_fields(field: str) -> None:
    whole = fields()
    del whole[field]
    with pytest.raises(InvalidInput, match=rf"{field}: Field required"):
        card_from_mapping(whole, source="test")


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs__height": 31},
        {"inputs__width": 16},
        {"inputs__height": 700},
        {"inputs__width": 641},
        {"inputs__min_size": 900},
    ],
)
def test_dynamic_size_bounds_hold_the_training_size(changes: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="between min_size and max_size"):
        card_from_mapping(segmentation(**changes), source="test")


def test_a_label_map_holds_256_labels() -> None:
    card_from_mapping(
        segmentation(
            answer__labels=tuple(map(str, range(256))), answer__palette=None, answer__ignore_index=None
        ),
        source="test",
    )
    with pytest.raises(InvalidInput, match="at most 256 labels, got 257"):
        card_from_mapping(
            segmentation(
                answer__labels=tuple(map(str, range(257))), answer__palette=None, answer__ignore_index=None
            ),
            source="test",
        )
    card_from_mapping(fields(answer__labels=tuple(map(str, range(1000)))), source="test")


def test_all_faults_are_listed() -> None:
    with pytest.raises(InvalidInput) as caught:
        card_from_mapping(fields(inputs__height=0, answer__labels=(), name=""), source="test")
    for name in ("inputs.0.image.height", "answer.classes.labels", "name"):
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
    assert ImageInput(height=2, width=2, resize="stretch").crop == 1
    assert LabelMap(labels=("a", "b")).colours == ((0, 0, 0), (128, 0, 0))
    assert ImageInput(height=2, width=2, resize="stretch", channels=1, mean=(0.5,), std=(0.5,)).channels == 1


def test_a_crop_needs_a_value_for_what_it_leaves_out() -> None:
    def card(resize: str, labels: int) -> Card:
        contract = {"kind": "image", "height": 8, "width": 8, "resize": resize}
        answer = {"kind": "label_map", "labels": [str(index) for index in range(labels)]}
        return card_from_mapping(fields(inputs=[contract], answer=answer), source="test")

    assert card("center_crop", 255).answer.unseen == 255
    assert card("stretch", 256).task == "segmentation"
    with pytest.raises(InvalidInput, match=r"256 labels.* 'stretch'"):
        card("center_crop", 256)
