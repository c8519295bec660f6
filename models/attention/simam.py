"""SimAM: weigh every neuron by how well it stands out from the rest of its channel, without parameters.

Yang, Zhang, Li & Xie, "SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural Networks",
ICML 2021, eqs. 2-6. https://proceedings.mlr.press/v139/yang21o.html

A neuron t is separated from the other M - 1 of its channel, x_i, by a linear classifier with labels 1 and -1
(eqs. 2-3):

    e(w, b) = mean_i (-1 - (w x_i + b))^2 + (1 - (w t + b))^2 + lambda w^2

Its least value is, with the mean m and the variance s of the x_i,

    e* = 4 (s + lambda) / ((t - m)^2 + 2 s + 2 lambda)
    at w = 2 (t - m) / ((t - m)^2 + 2 s + 2 lambda),   b = -(t + m) w / 2

The lower e*, the more important the neuron; m and s are taken over the whole channel, once for all its
neurons:

    y = x sigmoid(1 / e*) = x sigmoid((x - m)^2 / (4 (s + lambda)) + 1/2),   s = sum (x - m)^2 / (H W - 1)

The authors' code puts it after the second convolution of both residual blocks, before its BatchNorm; lambda
is 1e-4 there by default, and 0.1 in the commands given for ImageNet.
"""

import torch
from torch import Tensor, nn


class SimAM(nn.Module):
    """Return x sigmoid(1 / e*). It has no parameters.

    Shape: (B, C, H, W) -> (B, C, H, W), for any C, H and W. A single position stands out from nothing: its
    weight is sigmoid(1/2).

    Args:
        lambda_: of the classifier's weight decay.
    """

    def __init__(self, lambda_: float = 1e-4) -> None:
        super().__init__()
        if not lambda_ > 0:
            raise ValueError(f"lambda_ must be above 0, got {lambda_}")
        self.lambda_ = lambda_

    def weights(self, x: Tensor) -> Tensor:
        """Importance of each neuron, in [sigmoid(1/2), 1): (B, C, H, W)."""
        deviation = (x - x.mean(dim=(2, 3), keepdim=True)).square()
        # a single position deviates by 0: divide that by anything but 0
        others = torch.sym_max(x.shape[2] * x.shape[3] - 1, 1)
        variance = deviation.sum(dim=(2, 3), keepdim=True) / others  # (B, C, 1, 1)
        return (deviation / (4 * (variance + self.lambda_)) + 0.5).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)
