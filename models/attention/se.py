"""Squeeze-and-Excitation: rescale each channel by a gate computed from all of them.

Hu, Shen & Sun, "Squeeze-and-Excitation Networks", CVPR 2018, eqs. 2-4. https://arxiv.org/abs/1709.01507

    z = mean_hw(x)                      squeeze
    s = sigmoid(W2 relu(W1 z))          excitation
    y = s * x
"""

from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Return x * s, where s = sigmoid(W2 relu(W1 mean_hw(x))).

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W.

    Args:
        channels: C.
        reduction: W1 maps C to C / reduction; the paper uses 16.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        if min(channels, reduction) < 1 or channels % reduction:
            raise ValueError(
                f"channels must be a positive multiple of reduction, got {channels} and {reduction}"
            )
        self.squeeze = nn.Conv2d(channels, channels // reduction, kernel_size=1)
        self.excite = nn.Conv2d(channels // reduction, channels, kernel_size=1)

    def weights(self, x: Tensor) -> Tensor:
        """Gate s of each channel, in (0, 1): (B, C, 1, 1)."""
        z = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)  eq. 2
        return self.excite(self.squeeze(z).relu()).sigmoid()  # (B, C, 1, 1)  eq. 3

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)  # (B, C, H, W)  eq. 4
