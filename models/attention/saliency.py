"""Saliency: attention drawn by the input itself, with no query and no task to ask for it.

A gate that a map computes for itself, sigmoid(a . x_u + b) at each position u, after Dauphin, Fan, Auli &
Grangier, "Language Modeling with Gated Convolutional Networks", ICML 2017, section 2.
https://arxiv.org/abs/1612.08083; their gate has one value per channel, a saliency map has one per position.
The hard form is `regard.models.parts.max_saliency`.
"""

from torch import Tensor, nn


class Saliency(nn.Module):
    """Return x * sigmoid(a . x + b) at each position.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        self.gate = nn.Conv2d(channels, 1, kernel_size=1)

    def weights(self, x: Tensor) -> Tensor:
        """The saliency map, in (0, 1): (B, 1, H, W)."""
        return self.gate(x).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)
