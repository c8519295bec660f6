"""The loss of one supervised output, as a recipe sets it. A network with a `training_loss` of its own is
handed it.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch.nn.functional as F
from torch import Tensor

UNLABELLED = 255  # in a label map: no label, left out of the loss

# logits (B, K) or (B, K, H, W) and classes (B,) or (B, H, W) -> a scalar
Criterion = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class HasTrainingLoss(Protocol):
    """A network whose training takes more than the criterion of its answer."""

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """The scalar to minimize, for images (B, 3, H, W) and their classes (B,) or label maps (B, H, W), in
        training mode.
        """
        ...


def cross_entropy(class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> Criterion:
    """Weighted cross entropy, over the labelled pixels of label maps, always in float32."""

    def criterion(logits: Tensor, targets: Tensor) -> Tensor:
        left_out = UNLABELLED if targets.ndim == 3 else -1  # an image's class may be 255
        return F.cross_entropy(
            logits.float(), targets, class_weights, ignore_index=left_out, label_smoothing=label_smoothing
        )

    return criterion
