"""Frames of a video laid one below the other, for layers that know positions but no order among them."""

from torch import Tensor

from regard.contract.answers import Classes
from regard.contract.frames_input import FramesInput
from regard.models.backbones.backbone import Backbone
from regard.models.interface import Interface, numbered_classes

SIZE = 112  # of the frames, where no Card says another


def stages_of_frames(backbone: Backbone, frames: Tensor) -> list[Tensor]:
    """Each stage's maps of all frames: (B, T, 3, H, W) -> (B, channels[i], T h, w)."""
    return [
        maps.unflatten(0, frames.shape[:2]).transpose(1, 2).flatten(2, 3)
        for maps in backbone.stages(frames.flatten(0, 1))
    ]


def classes_of_frames(frames: int, num_classes: int) -> Interface:
    """What a classifier of so many frames takes and answers."""
    return Interface(
        (FramesInput(frames=frames, height=SIZE, width=SIZE, resize="stretch"),),
        Classes(labels=numbered_classes(num_classes)),
    )


def check_frames(frames: int) -> None:
    """Refuse less than one frame, with a ValueError."""
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
