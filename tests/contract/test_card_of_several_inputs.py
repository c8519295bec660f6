"""Cards of images, frames and texts, of every kind of answer, and with a state."""

from typing import Any

import pytest

from regard.contract.answers import Answer, Classes, ImageAnswer, LabelMap, Points, Sequence
from regard.contract.card import Card, Origin, card_from_mapping
from regard.contract.inputs import FramesInput, ImageInput, Input, TokensInput
from regard.contract.reading import card_from_json
from regard.contract.state import State, StateTensor
from regard.errors import InvalidInput

WORDS = ("<pad>", "<unk>", "<end>", "red")
IMAGE = ImageInput(height=32, width=48, resize="stretch", max_batch=8)
FRAMES = FramesInput(frames=4, height=32, width=32, resize="stretch")
QUESTION = TokensInput(name="question", vocabulary=WORDS, longest=5, max_batch=4)
STORY = TokensInput(name="story", vocabulary=WORDS, longest=5, sentences=3)
CLASSES = Classes(labels=("yes", "no"))
LABELS = LabelMap(labels=("road", "sky"))
CAPTION = Sequence(vocabulary=WORDS, longest=6)
FIGURE = Points(names=("head", "hip"))
STATE = State(tensors=(StateTensor(name="keys", dims=(8, -1, -1)),))


def card(inputs: tuple[Input, ...], answer: Answer, **fields: Any) -> Card:
    return card_from_mapping(
        {"name": "a", "inputs": inputs, "answer": answer, "origin": Origin(builder="b")} | fields,
        source="the test",
    )


@pytest.mark.parametrize(
    ("inputs", "answer", "task"),
    [
        ((IMAGE,), CLASSES, "classification"),
        ((FRAMES,), CLASSES, "classification"),
        ((IMAGE,), LABELS, "segmentation"),
        ((IMAGE,), CAPTION, "captioning"),
        ((QUESTION,), CAPTION, "translation"),
        ((IMAGE, QUESTION), CLASSES, "question_answering"),
        ((STORY, QUESTION), CLASSES, "question_answering"),
        ((IMAGE, QUESTION), CAPTION, "question_answering"),
        ((IMAGE,), FIGURE, "pose"),
        ((IMAGE,), ImageAnswer(), "reconstruction"),
    ],
)
def test_the_task_is_a_view(inputs: tuple[Input, ...], answer: Answer, task: str) -> None:
    made = card(inputs, answer)
    assert made.task == task
    assert card_from_json(made.to_json(), source="its own text") == made


def test_its_image_and_its_texts() -> None:
    made = card((QUESTION, IMAGE), CLASSES)
    assert (made.input, made.texts, made.size, made.max_batch) == (IMAGE, (QUESTION,), (32, 48), 4)
    assert not made.image_alone
    assert card((FRAMES,), CLASSES).input == FRAMES


def test_a_card_without_an_image_says_what_it_takes() -> None:
    made = card((STORY, QUESTION), CLASSES)
    assert (made.pixels, made.size) == (None, (-1, -1))
    with pytest.raises(InvalidInput, match="a takes no image, but story, question: ask it in words"):
        made.input  # noqa: B018


def test_a_state_makes_a_session_of_a_task() -> None:
    made = card((IMAGE,), LABELS, state=STATE)
    assert (made.task, made.max_batch) == ("segmentation", 1)
    assert not made.image_alone
    assert card((IMAGE,), LABELS).image_alone
    assert card_from_json(made.to_json(), source="its own text") == made


def test_a_card_without_state_says_nothing_of_it() -> None:
    assert '"state"' not in card((IMAGE,), CLASSES).to_json()


def test_an_input_without_a_kind_is_an_image() -> None:
    fields = {"height": 8, "width": 8, "resize": "stretch"}
    made = card_from_mapping(
        {"name": "a", "inputs": [fields], "answer": CLASSES, "origin": {"builder": "b"}}, source="the test"
    )
    assert made.input == ImageInput(**fields)


@pytest.mark.parametrize(
    ("inputs", "answer", "fields", "message"),
    [
        ((), CLASSES, {}, "one input at least: an image, frames or tokens"),
        ((IMAGE, FRAMES), CLASSES, {}, "one image or one row of frames, got 2 such inputs"),
        ((QUESTION, QUESTION), CLASSES, {}, "the name 'question' of an input is taken"),
        ((IMAGE, QUESTION.model_copy(update={"name": "image"})), CLASSES, {}, "the name 'image' of an input"),
        ((QUESTION.model_copy(update={"name": "sequence"}),), CAPTION, {}, "the name 'sequence' of an input"),
        ((QUESTION.model_copy(update={"name": "position"}),), CAPTION, {}, "the name 'position' of an input"),
        ((QUESTION.model_copy(update={"name": "more"}),), CAPTION, {}, "the name 'more' of an input"),
        (
            (QUESTION,),
            LABELS,
            {},
            "kind 'label_map' is to an image alone, to a text .* 'classes' or 'sequence'",
        ),
        ((IMAGE, QUESTION), FIGURE, {}, "kind 'points' is to an image alone"),
        ((IMAGE.model_copy(update={"pad_to": 8}),), CAPTION, {}, "pad_to is for segmentation"),
        ((IMAGE, QUESTION), CLASSES, {"state": STATE}, "one image at a time, got image and tokens"),
        ((FRAMES,), CLASSES, {"state": STATE}, "one image at a time, got frames"),
        (
            (IMAGE,),
            LABELS,
            {"state": State(tensors=(StateTensor(name="label_map", dims=(1,)),))},
            "the state's name 'label_map' is taken",
        ),
        (
            (IMAGE,),
            LABELS,
            {"state": State(tensors=(StateTensor(name="start", dims=(1,)),))},
            "the state's name 'start' is taken",
        ),
    ],
)
def test_each_rule(inputs: tuple[Input, ...], answer: Answer, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=f"^the test is not a valid Card: .*{message}"):
        card(inputs, answer, **fields)


def test_an_unknown_kind_of_input() -> None:
    with pytest.raises(InvalidInput, match=r"inputs\.0: an input's kind is 'image', 'frames' or 'tokens'"):
        card_from_mapping(
            {"name": "a", "inputs": [{"kind": "sound"}], "answer": CLASSES, "origin": {"builder": "b"}},
            source="the test",
        )
