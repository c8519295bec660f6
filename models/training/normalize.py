"""From stored pixels to what a network takes."""

import torch
from torch import Tensor

from regard.models.training.recipe import Recipe


def as_floats(images: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) -> (B, 3, H, W) in 0..1."""
    return images.permute(0, 3, 1, 2) / 255


def normalize(images: Tensor, recipe: Recipe) -> Tensor:
    """Less the recipe's mean, over its std: (B, 3, H, W) in 0..1 -> (B, 3, H, W)."""
    mean, std = torch.tensor(recipe.input.mean), torch.tensor(recipe.input.std)
    return (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
