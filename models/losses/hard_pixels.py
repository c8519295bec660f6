"""Online hard example mining: of a batch's pixels, learn from those that are not yet sure, and from a least
number of the hardest.

Shrivastava, Gupta & Girshick, "Training Region-based Object Detectors with Online Hard Example Mining", CVPR
2016 (https://arxiv.org/abs/1604.03540), in the form of CCNet's authors for segmentation:

    kept: p_right <= max(threshold, the min_kept-th smallest p_right)
    loss = cross entropy over what is kept

They look for that smallest probability on a map eight times smaller; here it is exact.
"""

import torch
from torch import Tensor

from regard.models.losses.criterion import UNLABELLED, Criterion, cross_entropy


def hard_pixels(
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    *,
    threshold: float = 0.7,
    min_kept: int = 100_000,
) -> Criterion:
    """Weighted cross entropy over the hard ones of the labelled pixels of label maps, always in float32.

    Args:
        class_weights, label_smoothing: see `cross_entropy`.
        threshold: a probability of the right class up to which a pixel is hard.
        min_kept: pixels of a batch that are kept at least; where it has no more of them, all are.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be a probability, got {threshold}")
    if min_kept < 1:
        raise ValueError(f"min_kept must be at least 1, got {min_kept}")
    loss = cross_entropy(class_weights, label_smoothing)

    def criterion(logits: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            labelled = targets != UNLABELLED
            classes = targets.masked_fill(~labelled, 0).unsqueeze(1)
            right = logits.float().softmax(dim=1).gather(1, classes).squeeze(1)  # shape of the targets
            candidates = right[labelled]
            if len(candidates) > min_kept:
                limit = candidates.kthvalue(min_kept).values.clamp(min=threshold)
                targets = targets.masked_fill(right > limit, UNLABELLED)
        return loss(logits, targets)

    return criterion
