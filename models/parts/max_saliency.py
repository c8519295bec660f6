"""Hard saliency: of each channel, the most salient position alone goes through. It is max pooling over the
whole map, read as attention that the input itself draws; the soft form is `regard.models.attention.saliency`.
"""

from torch import Tensor, nn


class MaxSaliency(nn.Module):
    """Return each channel's largest value: (B, C, H, W) -> (B, C). Its gradient goes to one position per
    channel, the first of equals.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).max(dim=2).values
