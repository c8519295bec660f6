"""What every backbone is: an image in, a feature map per stage out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """Feature maps of an image batch at several strides, from fine to coarse.

    Attributes:
        channels: of each stage's map.
        strides: of each stage's map, in pixels of the image.
        smallest_image: the least rows and columns that it takes, in pixels.
        placed: the attention modules that were put into it by its option `attention`.
    """

    channels: list[int]
    strides: list[int]
    smallest_image: int = 1
    placed: Sequence[nn.Module] = ()

    @abstractmethod
    def stages(self, x: Tensor) -> list[Tensor]:
        """The stages' maps: (B, 3, H, W) -> (B, channels[i], H / strides[i], W / strides[i]), sizes rounded
        up or down as the backbone's layers do.
        """

    @abstractmethod
    def filters(self, stage: int) -> Tensor:
        """Weights of the convolution that gives a stage's map its channels: (channels[stage], inputs, height,
        width). -1 is the last stage.
        """

    def check_image(self, x: Tensor) -> None:
        """Refuse images smaller than `smallest_image`, with a ValueError."""
        height, width = x.shape[2:]
        if min(height, width) < self.smallest_image:
            raise ValueError(
                f"images must be at least {self.smallest_image} x {self.smallest_image} for "
                f"{type(self).__name__}, got {height} x {width}"
            )


def results_at(ends: Sequence[int], layers: nn.Sequential, x: Tensor) -> list[Tensor]:
    """Run layers one after the other, and return what those at the indices `ends` give."""
    results = []
    for index, layer in enumerate(layers):
        x = layer(x)
        if index in ends:
            results.append(x)
    return results


def last_filters(layers: nn.Module) -> Tensor:
    """Weights of the last convolution in a module."""
    return [module for module in layers.modules() if isinstance(module, nn.Conv2d)][-1].weight


def backbones(network: nn.Module) -> list[Backbone]:
    """All backbones in a network, itself included: one in most, several in RA-CNN, say, and none in ViT."""
    return [module for module in network.modules() if isinstance(module, Backbone)]
