"""Non-local network of a video: a backbone sees every frame by itself, and a non-local block in space and
time joins them.

Wang, Girshick, Gupta & He, "Non-local Neural Networks", CVPR 2018, sections 3-4.
https://arxiv.org/abs/1711.07971

    frames -> backbone of each -> non-local block over all positions of all frames -> mean -> linear

It is the paper's C2D, whose convolutions are of one frame, with one block; there blocks stand before the last
residual blocks of res3 and res4, here behind the last stage.
"""

from torch import Tensor, nn

from regard.models.attention.non_local import (
    Concatenation,
    DotProduct,
    EmbeddedGaussian,
    Gaussian,
    NonLocal,
)
from regard.models.backbones.backbone import Backbone
from regard.models.classifiers import BackboneClassifier, GlobalAveragePool
from regard.models.interface import Interface
from regard.models.networks.frames import check_frames, classes_of_frames, stages_of_frames

FORMS: dict[str, type[NonLocal]] = {
    "gaussian": Gaussian,
    "embedded_gaussian": EmbeddedGaussian,
    "dot": DotProduct,
    "concat": Concatenation,
}


class NonLocalFrames(BackboneClassifier):
    """Class scores (logits) of short videos: (B, T, 3, H, W) -> (B, num_classes), for any T.

    Args:
        form: of the pairwise function, a name of FORMS.
        backbone: any.
        num_classes: K.
        frames: T that is served.
    """

    def __init__(self, form: str, backbone: Backbone, *, num_classes: int = 1000, frames: int = 8) -> None:
        super().__init__(backbone, num_classes)
        check_frames(frames)
        self.frames = frames
        channels = backbone.channels[-1]
        self.attention = FORMS[form](channels)
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(channels, num_classes)

    def interface(self) -> Interface:
        return classes_of_frames(self.frames, self.fc.out_features)

    def feature_map(self, x: Tensor) -> Tensor:
        return self.attention(stages_of_frames(self.backbone, x)[-1])  # (B, C, T h, w)

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, self.fc]
