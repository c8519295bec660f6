"""What a network answers against what its Card means, and the size of its scores against its images', judged
by running it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from regard.contract.answers import LabelMap
from regard.contract.answers.kind import Upsampling
from regard.contract.answers.sequence import Sequence as Words
from regard.contract.card import Card
from regard.contract.names import ALIGNMENT, LOG_PROBABILITIES, SEQUENCE
from regard.contract.pixels_input import PixelsInput
from regard.errors import InvalidInput
from regard.models.decoding.generated import END, Generated
from regard.models.decoding.stepwise import Stepwise
from regard.models.padding import continued
from regard.models.scores import scores_in

NAMES = (SEQUENCE, LOG_PROBABILITIES, ALIGNMENT)  # of what is generated, in its order
STRIDES = (2, 4, 8, 16, 32, 64)  # of the segmenters there are
# where the Card does not say it: half-pixel centres, as most segmenters are trained
UPSAMPLING: Upsampling = "bilinear"


def with_upsampling(card: Card, scores: Any, x: Tensor) -> Card:
    """The Card of a segmenter, saying how its scores become as large as its images x where it does not say so
    and they have a half, a third, ... of their size, rounded either way.
    """
    answer = card.answer
    if not isinstance(answer, LabelMap) or answer.upsampling is not None:
        return card
    if not isinstance(scores, Tensor) or scores.ndim != 4:
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


def check_answer(returned: Any, inputs: Sequence[Tensor], network: nn.Module, card: Card) -> None:
    """Hold what a network returned for inputs, as the Card means it, against the Card's answer.

    Raises:
        InvalidInput: it is no such answer, or of another shape.
    """
    if not isinstance(card.answer, Words):
        _check_scores(returned, inputs, network, card)
    elif not isinstance(returned, Generated):
        raise InvalidInput(
            f"the Card of {card.name} means a sequence, and the network returns {type(returned).__name__}: "
            "let it return regard.models.decoding.generated.Generated, as greedy(...) and beam(...) do"
        )
    else:
        _check_words(card.answer, network, card.name)
        _check_generated(returned, len(inputs[0]), card)


def _check_words(answer: Words, network: nn.Module, name: str) -> None:
    """Hold the vocabulary against the numbers that a network which returns Generated knows its words by."""
    end = answer.vocabulary.index(answer.end)
    if end != END:
        raise InvalidInput(
            f"{answer.end!r} is word {end} of the Card of {name}, and a network that returns Generated ends "
            f"by word {END}, counted from 0; correct the vocabulary, or train with {answer.end!r} there"
        )
    if isinstance(network, Stepwise) and network.words != len(answer.vocabulary):
        raise InvalidInput(
            f"the Card of {name} has {len(answer.vocabulary)} words in its answer, the network writes "
            f"{network.words}; correct the vocabulary, or the network's option"
        )


def _check_generated(returned: Generated, batch: int, card: Card) -> None:
    given = {name: value for name, value in zip(NAMES, returned, strict=True) if value is not None}
    expected = card.answer.tensors()
    if given.keys() != expected.keys():
        says = "aligned" if ALIGNMENT in expected else "not aligned"
        raise InvalidInput(
            f"the Card of {card.name} says that its sequence is {says}, the network gives "
            f"{', '.join(given)}; correct `aligned` in the Card's answer"
        )
    for name, (_, dims) in expected.items():
        found = tuple(given[name].shape)
        if len(found) != 1 + len(dims) or any(
            want not in (-1, got) for want, got in zip((batch, *dims), found, strict=True)
        ):
            raise InvalidInput(
                f"the Card of {card.name} contradicts the network: {name} of shape {(batch, *dims)} is "
                f"meant, the network gives {found}. Correct `longest` in the Card's answer, or the network's."
            )


def _check_scores(scores: Tensor, inputs: Sequence[Tensor], network: nn.Module, card: Card) -> None:
    """Hold scores, placed on the images where there are some, against the Card."""
    batch = len(inputs[0])
    height, width = inputs[0].shape[-2:] if inputs[0].is_floating_point() else (-1, -1)
    expected, found = card.answer.scores_shape(batch, height, width), tuple(scores.shape)
    if found == expected:
        return
    if len(expected) == len(found) == 4 and found[:2] == expected[:2]:
        advice = pad_advice(network, inputs, card) or "return scores of the image's size"
        raise InvalidInput(
            f"the scores of {card.name} have another size than the image, {found[2]} x {found[3]} for "
            f"{height} x {width}: {advice}. Where they only need resizing, say how by upsampling in the "
            "Card's LabelMap."
        )
    raise InvalidInput(
        f"the Card of {card.name} contradicts the network: {card.task} with {len(card.answer.labels)} labels "
        f"means scores of shape {expected} for {_said(batch, height, width)}, the network gives {found}. "
        "Correct the Card's answer or size."
    )


def _said(batch: int, height: int, width: int) -> str:
    return str(batch) if height == -1 else f"{batch} of {height} x {width}"


def pad_advice(network: nn.Module, inputs: Sequence[Tensor], card: Card) -> str:
    """The next step for a segmenter that takes multiples of a stride only, the least that is found by running
    it on its image continued to multiples of it; "" where none helps.
    """
    if card.task != "segmentation" or card.state is not None or card.input.pad_to != 1:
        return ""
    (x,) = inputs
    stride = next((stride for stride in STRIDES if _fits(network, continued(x, stride), card)), None)
    if stride is None:
        return ""
    return f"pad inside the network, or declare pad_to={stride} in the Card's ImageInput"


def stopped_advice(network: nn.Module, inputs: Sequence[Tensor], card: Card) -> str:
    """What to do about a network that stops at inputs, as a clause; "" where that is not known."""
    advice = pad_advice(network, inputs, card)
    for x, each in zip(inputs, card.inputs, strict=True):
        if advice or not isinstance(each, PixelsInput) or tuple(x.shape[-2:]) == (each.height, each.width):
            continue
        advice = (
            f"it takes {each.height} x {each.width}: what depends on the size, such as a grid, "
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
