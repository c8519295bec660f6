"""What a split that was never trained on says: top-1 accuracy, or mean intersection over union."""

import torch
from torch import Tensor


def confusion(predicted: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Count pairs: entry (t, p) is how often class t was predicted as p. Targets of num_classes or more are
    left out.

    Shape: two integer tensors of one shape -> (num_classes, num_classes) int64.
    """
    target = target.long()  # a uint8 cannot be compared with 256
    kept = target < num_classes
    pairs = target[kept] * num_classes + predicted[kept].long()
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def intersection_over_union(counts: Tensor) -> Tensor:
    """IoU of each class from its confusion counts, NaN for a class that neither occurs nor is predicted:
    (K, K) -> (K,).
    """
    hit = counts.diagonal().double()
    return hit / (counts.sum(0) + counts.sum(1) - hit)


def accuracy(counts: Tensor) -> float:
    """Fraction of right answers from confusion counts."""
    return (counts.diagonal().sum() / counts.sum()).item()
