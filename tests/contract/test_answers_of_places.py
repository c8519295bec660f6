"""Answers of points and of images: what is served, when two agree, and the result that a client is given."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from regard.contract.answers import ImageAnswer, Points
from regard.contract.answers.kind import AnswerKind
from regard.errors import InvalidInput

FIGURE = Points(names=("head", "hip", "foot"), skeleton=(("head", "hip"), ("hip", "foot")))
GREY, COLOUR = ImageAnswer(channels=1), ImageAnswer()
POINTS = np.array([[0.5, 0.25, 1.0], [0.5, 0.5, 0.5], [0.25, 0.75, 0.25]], np.float32)


@pytest.mark.parametrize(
    ("answer", "scores", "served"),
    [
        (FIGURE, (2, 3, 3), (2, 3, 3)),
        (GREY, (2, 1, 4, 5), (2, 4, 5, 1)),
        (COLOUR, (2, 3, 4, 5), (2, 4, 5, 3)),
    ],
)
def test_what_is_served(answer: AnswerKind, scores: tuple[int, ...], served: tuple[int, ...]) -> None:
    assert answer.scores_shape(2, 4, 5) == scores
    (given,) = answer.outputs(torch.rand(scores)).values()
    assert (tuple(given.shape), given.numpy().dtype) == (served, answer.dtype)
    assert answer.tensors(4, 5) == {answer.tensor: (answer.dtype, served[1:])}
    assert answer.fault(given.numpy()) is None
    assert answer.nbytes(2, 4, 5) == given.numpy().nbytes
    assert answer.agreement(given.numpy(), given.numpy()) == 1


def test_points_agree_within_half_a_hundredth() -> None:
    moved = POINTS.copy()[None]
    moved[0, 0, 0] += 0.004
    moved[0, 1, 1] += 0.006
    moved[0, 2, 2] = 0  # a confidence moves no point
    assert FIGURE.agreement(POINTS[None], moved) == pytest.approx(2 / 3)
    assert FIGURE.agreement(POINTS[None], moved[:, :2]) == 0


def test_a_pose_is_in_the_images_own_pixels() -> None:
    pose = FIGURE.result(POINTS, (100, 200))
    assert pose.joints == {"head": (100, 25), "hip": (100, 50), "foot": (50, 75)}
    assert pose.confidence == {"head": 1, "hip": 0.5, "foot": 0.25}
    cropped = FIGURE.result(POINTS, (100, 200), box=(0.25, 0, 0.75, 1))  # its central square
    assert cropped.joints == {"head": (100, 25), "hip": (100, 50), "foot": (75, 75)}


def test_the_picture_of_a_pose() -> None:
    image = Image.new("RGB", (64, 64))
    drawn = np.asarray(FIGURE.result(POINTS, (64, 64)).overlay(image))
    assert drawn[16, 32].tolist() == [255, 255, 255]
    assert drawn[24, 32].any()  # from head to hip
    assert not drawn[16, 10].any()
    sure = np.asarray(FIGURE.result(POINTS, (64, 64)).overlay(image, least=0.9))
    assert not sure[24, 32].any()
    assert sure[16, 32].all()
    assert not np.asarray(image).any(), "the image itself is left as it was"


def test_an_image_is_rounded_and_stays_within_white() -> None:
    values = torch.tensor([-1.0, 0.0, 0.499 / 255, 0.501 / 255, 1.0, 2.0]).view(1, 1, 1, 6)
    assert GREY.append(values).flatten().tolist() == [0, 0, 0, 1, 255, 255]


def test_images_agree_where_the_next_value_is_taken() -> None:
    one = np.array([0, 0, 255, 100], np.uint8).reshape(1, 2, 2, 1)
    other = np.array([1, 2, 254, 100], np.uint8).reshape(1, 2, 2, 1)
    assert GREY.agreement(one, other) == 0.75


@pytest.mark.parametrize("answer", [GREY, COLOUR])
def test_a_reconstruction_is_saved(answer: ImageAnswer, tmp_path: Path) -> None:
    pixels = np.arange(4 * 5 * answer.channels, dtype=np.uint8).reshape(4, 5, answer.channels)
    result = answer.result(pixels)
    assert result.image().size == (5, 4)
    again = np.asarray(Image.open(result.save(tmp_path / "x.png")))
    assert np.array_equal(again.reshape(pixels.shape), pixels)
    with pytest.raises(InvalidInput, match=r"x\.png, not x\.jpg"):
        result.save(tmp_path / "x.jpg")


@pytest.mark.parametrize(
    ("answer", "tensor", "fault"),
    [
        (FIGURE, np.zeros((1, 2, 3), np.float32), r"has 3 points, .* shape \(1, 2, 3\)"),
        (FIGURE, np.full((1, 3, 3), np.nan, np.float32), "NaN or infinity"),
        (GREY, np.zeros((1, 4, 5, 3), np.uint8), "has 1 channels"),
        (COLOUR, np.zeros((1, 4, 5, 3), np.float32), "float32"),
    ],
)
def test_what_is_no_such_answer(answer: AnswerKind, tensor: np.ndarray, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        raise ValueError(answer.fault(tensor))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"names": ()}, "names"),
        ({"names": ("hip", "hip")}, "two points are named 'hip'"),
        ({"names": ("hip",), "skeleton": (("hip", "knee"),)}, "joins 'knee', which is no point: hip"),
    ],
)
def test_each_rule_of_points(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Points(**fields)
