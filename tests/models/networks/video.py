"""What the tests of video segmenters share: small ones, frames, and sessions."""

from typing import Any

import torch
from torch import Tensor

from regard.models.catalog import build
from regard.models.families.video import ENTRIES


def small(name: str, **options: object) -> Any:
    """A small network of the catalog in float64, its segmenter's numbers as they were drawn, in evaluation
    mode.
    """
    torch.manual_seed(0)
    return build(name, num_classes=4, **{**ENTRIES[name].small, **options}).double().eval()


def frames(count: int, *, size: tuple[int, int] = (32, 48), seed: int = 0) -> Tensor:
    """(count, 3, *size)."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, *size, generator=random, dtype=torch.float64)


def session(network: Any, video: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Scores of each frame, and the state after it."""
    scores, states = [], []
    with torch.no_grad():
        state = network.initial_state(video[:1])
        for frame in video:
            score, *state = network.step(frame[None], *state)
            scores.append(score)
            states.append(state)
    return scores, states


class Counted:
    """Counts a segmenter's work: how often its features are computed."""

    def __init__(self, network: Any) -> None:
        self.count = 0
        compute = network.segmenter.features

        def counted(x: Tensor) -> Tensor:
            self.count += 1
            return compute(x)

        network.segmenter.features = counted
