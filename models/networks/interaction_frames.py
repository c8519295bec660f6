"""Interaction-aware spatio-temporal pyramid attention: the maps of several stages and of all frames say
together where to look.

Du et al., "Interaction-aware Spatio-temporal Pyramid Attention Networks for Action Classification", ECCV
2018. https://arxiv.org/abs/1808.01106

It is the pyramid of `regard.models.networks.interaction_aware` whose positions are those of all frames: any
number of maps will do.
"""

from typing import Any

from torch import Tensor

from regard.models.backbones.backbone import Backbone
from regard.models.interface import Interface
from regard.models.networks.frames import check_frames, classes_of_frames, stages_of_frames
from regard.models.networks.interaction_aware import InteractionPyramid
from regard.models.signatures import passes_options_to


@passes_options_to(InteractionPyramid)
class InteractionFrames(InteractionPyramid):
    """Class scores (logits) of short videos: (B, T, 3, H, W) -> (B, num_classes), for any T.

    Args:
        backbone: any.
        frames: T that is served.
    """

    def __init__(self, backbone: Backbone, *, frames: int = 8, **options: Any) -> None:
        super().__init__(backbone, **options)
        check_frames(frames)
        self.frames = frames

    def interface(self) -> Interface:
        return classes_of_frames(self.frames, self.fc.out_features)

    def maps(self, x: Tensor) -> list[Tensor]:
        return stages_of_frames(self.backbone, x)[-self.scales :]
