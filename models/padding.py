"""Images continued to a multiple of a segmenter's stride, and scores brought back to the images' size."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.answers.kind import Upsampling
from regard.contract.card import Card
from regard.contract.image_input import ImageInput


def continued(x: Tensor, stride: int) -> Tensor:
    """Continue images (B, C, H, W) by 0, the mean colour, below and to the right, up to multiples of
    `stride`.
    """
    down, right = _margins(x, stride)
    return x if stride == 1 else F.pad(x, (0, right, 0, down))


def cut_back(scores: Tensor, x: Tensor, stride: int) -> Tensor:
    """Cut the scores of `continued(x, stride)` to the size of x."""
    down, right = _margins(x, stride)
    # not sliced up to (height, width): under tracing that is the smaller of height and the padded height, not
    # height
    return scores if stride == 1 else F.pad(scores, (0, -right, 0, -down))


def scores_of(network: nn.Module, x: Tensor, stride: int) -> Tensor:
    """The network's scores for images of any size; a stride of 1 hands them through."""
    return cut_back(network(continued(x, stride)), x, stride)


def resized(scores: Tensor, height: int, width: int, how: Upsampling) -> Tensor:
    """Scores (B, K, h, w) as (B, K, height, width)."""
    if how == "nearest":
        return F.interpolate(scores, size=(height, width), mode="nearest")
    aligned = how == "bilinear_align_corners"
    return F.interpolate(scores, size=(height, width), mode="bilinear", align_corners=aligned)


def placed(scores: Tensor, x: Tensor, card: Card) -> Tensor:
    """The scores that a network gave for `continued(x, pad_to)`, as the Card means them: float32, and where
    each pixel has its own, resized and cut back to the size of x.
    """
    scores, stride, how = scores.float(), card.input.pad_to, card.answer.upsampled_by
    if how is not None:
        down, right = _margins(x, stride)
        scores = resized(scores, x.shape[2] + down, x.shape[3] + right, how)
    return cut_back(scores, x, stride)


def taken(inputs: Sequence[Tensor], card: Card) -> list[Tensor]:
    """What goes into a network, in the Card's order: its images continued up to multiples of pad_to."""
    return [
        continued(x, each.pad_to) if isinstance(each, ImageInput) else x
        for x, each in zip(inputs, card.inputs, strict=True)
    ]


def meant(returned: Any, inputs: Sequence[Tensor], card: Card) -> Any:
    """What a network returned for `taken(inputs)`, as the Card means it: scores in float32, placed on the
    image where there is one. What it generated word by word stays as it is.
    """
    if not isinstance(returned, Tensor):
        return returned
    image = next(
        (x for x, each in zip(inputs, card.inputs, strict=True) if isinstance(each, ImageInput)), None
    )
    return returned.float() if image is None else placed(returned, image, card)


def _margins(x: Tensor, stride: int) -> tuple[int, int]:
    height, width = x.shape[2:]
    return (
        (height + stride - 1) // stride * stride - height,
        (width + stride - 1) // stride * stride - width,
    )
