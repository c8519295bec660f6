"""What the video segmenters share: a segmenter cut in two, its features, which cost much and change little
from frame to frame, and its classifier.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from regard.contract.answers import LabelMap
from regard.contract.image_input import ImageInput
from regard.contract.state import State, StateTensor
from regard.models.heads.layers import resize
from regard.models.interface import Interface, numbered_classes
from regard.models.segmenters.segmenter import Segmenter

SIZE = 224  # of the frames, where no Card says another


class VideoSegmenter(nn.Module, ABC):
    """A segmenter of the frames of a video, with a state between them.

    step(x, *state) gives class scores of a frame and the state after it: (B, 3, H, W), *state ->
    (B, K, H, W), *state.

    Args:
        segmenter: whose maps have ceil(H / stride) rows, as those of a ResNet and of MobileNetV2 have.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.channels = segmenter.inner

    def interface(self) -> Interface:
        return Interface(
            (ImageInput(height=SIZE, width=SIZE, resize="none", dynamic_size=True),),
            LabelMap(labels=numbered_classes(self.segmenter.num_classes)),
            State(tensors=self.state_tensors()),
        )

    @abstractmethod
    def state_tensors(self) -> tuple[StateTensor, ...]:
        """Name and dimensions of each tensor of the state."""

    @abstractmethod
    def initial_state(self, x: Tensor) -> tuple[Tensor, ...]:
        """The state before a first frame of x's size. It costs no work."""

    def scores(self, features: Tensor, x: Tensor) -> Tensor:
        """Class scores of every pixel of x from its features."""
        return resize(self.segmenter.classifier(features), x)

    def no_features(self, x: Tensor, count: int = 1) -> Tensor:
        """Zeros of the size of so many features of x: (B, count * channels, h, w)."""
        stride = self.segmenter.stride
        rows, columns = ((size - 1) // stride + 1 for size in x.shape[2:])
        return x.new_zeros(x.shape[0], count * self.channels, rows, columns)


def per_image(values: Tensor) -> Tensor:
    """(B, 1) -> (B, 1, 1, 1), to be chosen by in maps."""
    return values[:, :, None, None]


def full(x: Tensor, value: float) -> Tensor:
    """One number for each image: (B, 1)."""
    return torch.full((x.shape[0], 1), value, dtype=x.dtype, device=x.device)
