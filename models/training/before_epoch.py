"""What a network fits between epochs, apart from gradients: clusters of its channels or filters, say."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from regard.models.training.data import LabelledImages
from regard.models.training.normalize import as_floats, normalize
from regard.models.training.recipe import Recipe

SAMPLE = 64  # images, evenly spaced in the training data


@runtime_checkable
class FitsBeforeEpochs(Protocol):
    """A network that takes more than gradients to train."""

    def before_epoch(self, epoch: int, epochs: int, images: Tensor) -> None:
        """Fit what this epoch begins with, in evaluation mode.

        Args:
            epoch: from 0 to epochs - 1.
            epochs: of the whole run.
            images: some of the training images (n, 3, H, W), normalized and not augmented.
        """
        ...


def before_epoch(network: nn.Module, epoch: int, training: LabelledImages, recipe: Recipe) -> None:
    """Let a network that fits something do so. It is left in evaluation mode."""
    if not isinstance(network, FitsBeforeEpochs):
        return
    network.eval()
    chosen = torch.linspace(0, len(training) - 1, min(SAMPLE, len(training))).round().long()
    images = normalize(as_floats(training.images[chosen]), recipe).to(next(network.parameters()).device)
    with torch.no_grad():
        network.before_epoch(epoch, recipe.optimization.epochs, images)
