"""The size of a network's scores against its images', judged by running it."""

import torch
from torch import Tensor, nn

from regard.contract.answers import LabelMap
from regard.contract.answers.kind import Upsampling
from regard.contract.card import Card
from regard.errors import InvalidInput
from regard.models.padding import continued
from regard.models.scores import scores_in

STRIDES = (2, 4, 8, 16, 32, 64)  # of the segmenters there are
# where the Card does not say it: half-pixel centres, as most segmenters are trained
UPSAMPLING: Upsampling = "bilinear"


def with_upsampling(card: Card, scores: Tensor, x: Tensor) -> Card:
    """The Card of a segmenter, saying how its scores become as large as its images x where it does not say so
    and they have a half, a third, ... of their size, rounded either way.
    """
    answer = card.answer
    if not isinstance(answer, LabelMap) or answer.upsampling is not None or scores.ndim != 4:
        return card
    sides = list(zip(scores.shape[2:], x.shape[2:], strict=True))
    parts = range(2, max(STRIDES) + 1)
    if scores.shape[2:].numel() == 1 or not any(
        all(side in (whole // part, -(-whole // part)) for side, whole in sides) for part in parts
    ):
        return card
    return stating_upsampling(card)


def stating_upsampling(card: Card) -> Card:
    """The Card of a segmenter whose scores are resized, saying how: UPSAMPLING where it does not."""
    how = card.answer.upsampled_by or UPSAMPLING
    return card.updated(answer=card.answer.model_dump() | {"upsampling": how})


def check_scores(scores: Tensor, x: Tensor, network: nn.Module, card: Card) -> None:
    """Hold the scores of images x (B, C, H, W), placed on them, against the Card.

    Raises:
        InvalidInput: they have another shape than it means.
    """
    height, width = x.shape[2:]
    expected, found = card.answer.scores_shape(len(x), height, width), tuple(scores.shape)
    if found == expected:
        return
    if len(expected) == len(found) == 4 and found[:2] == expected[:2]:
        advice = pad_advice(network, x, card) or "return scores of the image's size"
        raise InvalidInput(
            f"the scores of {card.name} have another size than the image, {found[2]} x {found[3]} for "
            f"{height} x {width}: {advice}. Where they only need resizing, say how by upsampling in the "
            "Card's LabelMap."
        )
    raise InvalidInput(
        f"the Card of {card.name} contradicts the network: {card.task} with {len(card.answer.labels)} labels "
        f"means scores of shape {expected} for {len(x)} of {height} x {width}, the network gives {found}. "
        "Correct the Card's answer or size."
    )


def pad_advice(network: nn.Module, x: Tensor, card: Card) -> str:
    """The next step for a segmenter that takes multiples of a stride only, the least that is found by running
    it on x continued to multiples of it; "" where none helps.
    """
    if card.task != "segmentation" or card.input.pad_to != 1:
        return ""
    stride = next((stride for stride in STRIDES if _fits(network, continued(x, stride), card)), None)
    if stride is None:
        return ""
    return f"pad inside the network, or declare pad_to={stride} in the Card's ImageInput"


def stopped_advice(network: nn.Module, x: Tensor, card: Card) -> str:
    """What to do about a network that stops at images x (B, C, H, W), as a clause; "" where that is not
    known.
    """
    advice = pad_advice(network, x, card)
    if not advice and tuple(x.shape[2:]) != (card.input.height, card.input.width):
        advice = (
            f"it takes {card.input.height} x {card.input.width}: what depends on the size, such as a grid, "
            "is to be computed from x.shape in each call"
        )
    return advice and f"; {advice}"


def _fits(network: nn.Module, x: Tensor, card: Card) -> bool:
    try:
        with torch.no_grad():
            scores = scores_in(network(x))
    except Exception:  # whatever the network's own code meets
        return False
    return card.answer.upsampled_by is not None or scores.shape[2:] == x.shape[2:]
