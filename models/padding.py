"""Images continued to a multiple of a segmenter's stride, and scores cut back."""

import torch.nn.functional as F
from torch import Tensor, nn


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


def _margins(x: Tensor, stride: int) -> tuple[int, int]:
    height, width = x.shape[2:]
    return (
        (height + stride - 1) // stride * stride - height,
        (width + stride - 1) // stride * stride - width,
    )
