"""The training of deep feature flow: what its loss measures, which pairs it draws, and how labels are carried
from key frames.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regard.models.parts.flow import Motion
from regard.models.training.families.camvid_video import Video, carried, copied, in_session
from regard.models.training.families.video import FARTHEST, NEAR, STEPS, distance, pairs

ACROSS, DOWN = 3.0, -2.0  # pixels of the image


def level(height: int, width: int, across: float, down: float) -> Motion:
    flow = torch.tensor([across, down]).view(1, 2, 1, 1).expand(1, 2, height, width)
    return Motion(flow, torch.zeros(1))


TRUTH = level(8, 16, ACROSS, DOWN).flow
COARSE = level(2, 8, ACROSS / 2, DOWN / 4)  # a flow is in the pixels of its own level


def test_the_true_flow_is_at_no_distance() -> None:
    found = distance([COARSE, Motion(TRUTH, torch.zeros(1))], TRUTH)
    assert found.item() == pytest.approx(1.5 * NEAR**0.5)


def test_a_finer_level_counts_twice_as_much() -> None:
    far = 5.0
    finest = distance([COARSE, level(8, 16, ACROSS, DOWN + far)], TRUTH)
    coarsest = distance([level(2, 8, ACROSS / 2, (DOWN + far) / 4), Motion(TRUTH, torch.zeros(1))], TRUTH)
    away, near = (far**2 + NEAR) ** 0.5, NEAR**0.5
    assert finest.item() == pytest.approx(away + near / 2, rel=1e-5)
    assert coarsest.item() == pytest.approx(near + away / 2, rel=1e-5)


def test_pairs_are_frames_of_the_video_not_far_apart() -> None:
    frames = torch.arange(30.0)
    drawn = [*pairs(frames, 10 * frames, 4, torch.Generator().manual_seed(0))]
    assert len(drawn) == STEPS
    features, key, frame, own = (torch.cat(each) for each in zip(*drawn, strict=True))
    assert torch.equal(features, 10 * key)
    assert torch.equal(own, 10 * frame)
    assert (key - frame).abs().max() == FARTHEST
    assert {0.0, 29.0} <= {*frame.tolist()}


def video(count: int) -> Video:
    numbers = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1)
    return Video(numbers.unsqueeze(3).expand(-1, 2, 2, 3), numbers.expand(-1, 2, 2))


def test_labels_are_carried_from_the_last_key_frame() -> None:
    film = video(5)
    labels = [*film.labels]
    found = carried(labels, film, 3, copied)
    assert [each[0, 0].item() for each in found] == [0, 0, 0, 3, 3]

    def told(labels: Tensor, key: Tensor, frame: Tensor) -> Tensor:
        return labels + 10 * (frame - key)[..., 0]

    assert [each[0, 0].item() for each in carried(labels, film, 3, told)] == [0, 10, 20, 3, 13]


class Counting(nn.Module):
    """Answers with the number of the step."""

    def initial_state(self, x: Tensor) -> tuple[Tensor]:
        return (torch.zeros(1, dtype=torch.int64),)

    def step(self, x: Tensor, count: Tensor) -> tuple[Any, ...]:
        scores = torch.nn.functional.one_hot(count, 4).view(1, 4, 1, 1).expand(-1, -1, *x.shape[2:])
        return scores.float(), count + 1


def test_a_session_hands_its_state_on() -> None:
    assert [each[0, 0].item() for each in in_session(Counting(), video(3))] == [0, 1, 2]
