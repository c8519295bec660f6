"""Interaction-aware attention: maps that attend as principal components do, from the features of one layer or
of several.

Du et al., "Interaction-aware Spatio-temporal Pyramid Attention Networks for Action Classification", ECCV
2018. https://arxiv.org/abs/1808.01106

Neighbouring features are correlated, so their weights should not be found one by one. With the features of a
layer as X (positions x channels), each channel's map one sample:

    Y_l = X_l W_l + b_l    scores of layer l, its map first brought to the scale of X; columns of unit length
    A   = sum_l Y_l        fused, columns of unit length again: k attention maps over the positions
    P   = A^T X            attended features: each map's weighted sum of the features of all positions
    Z   = gamma * A P + X

A plays the basis that principal component analysis finds for the samples, W_l and b_l its rotation and the
removal of its mean; the losses in `regard.models.losses.interaction` make it one, and make the layers' scores
differ. Any number of layers will do.

No code of the authors is public. From the abstract and the introduction: attention inspired by PCA, the
pyramid of several layers' maps, its scores weighting the features of all positions, and any number of maps.
From two readers' notes of the paper: X W + b, the downsampling to one scale, unit length, and what the losses
ask for. Ours: the number of maps k (the notes have as many as positions, which fixes the image's size and
leaves PCA nothing to choose), the fusion by summing, average pooling as downsampling, and giving the attended
features back to the positions, A P, with a factor that starts at 0.

In the temporal form the positions are those of several frames. It is the same module on the frames laid one
below the other, (B, C, T H, W): averaging brings each frame's map to the scale of its own, whatever their
sizes, since floor(i T H_l / T H) = f H_l + floor(r H_l / H) for row r of frame f, i = f H + r.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InteractionAware(nn.Module):
    """Return gamma * A A^T x + x, where the k maps A come from x alone, or from x and other layers' feature
    maps.

    Shape: (B, C, H, W), and (B, C_l, H_l, W_l) for each other map -> (B, C, H, W), for any sizes.

    Args:
        channels: C.
        components: k.
        others: channels C_l of the other feature maps.
    """

    def __init__(self, channels: int, components: int = 8, others: Sequence[int] = ()) -> None:
        super().__init__()
        if min(channels, *others, components) < 1:
            raise ValueError(
                f"channels and components must be positive, got {[channels, *others]} and {components}"
            )
        self.score = nn.ModuleList(nn.Conv2d(each, components, kernel_size=1) for each in (channels, *others))
        self.gamma = nn.Parameter(torch.zeros(1))

    def scales(self, x: Tensor, *others: Tensor) -> list[Tensor]:
        """Y_l of each feature map: (B, k, HW), of unit length over the positions of x."""
        if len(others) + 1 != len(self.score):
            raise ValueError(f"it was built for {len(self.score)} feature maps, got {len(others) + 1}")
        height, width = x.shape[2:]
        features = [x, *(F.adaptive_avg_pool2d(other, (height, width)) for other in others)]
        return [_unit(score(each).flatten(2)) for score, each in zip(self.score, features, strict=True)]

    def fuse(self, scales: Sequence[Tensor]) -> Tensor:
        """A from all Y_l: (B, k, HW)."""
        return _unit(torch.stack(list(scales)).sum(dim=0))

    def weights(self, x: Tensor, *others: Tensor) -> Tensor:
        """The k attention maps, of unit length, with signs: (B, k, H, W)."""
        return self.fuse(self.scales(x, *others)).unflatten(2, x.shape[2:])

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        return self.attend(x, self.weights(x, *others))

    def attend(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return gamma * A A^T x + x, with the maps A as `weights` gives them."""
        a = weights.flatten(2)  # (B, k, HW)
        attended = torch.matmul(x.flatten(2), a.transpose(1, 2))  # (B, C, HW) @ (B, HW, k) -> P: (B, C, k)
        return self.gamma * torch.matmul(attended, a).view_as(x) + x


def _unit(maps: Tensor) -> Tensor:
    return F.normalize(maps, dim=2)
