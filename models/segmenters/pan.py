"""PAN: feature pyramid attention on the last stage, then global attention upsampling through those before
it.

Li et al., "Pyramid Attention Network for Semantic Segmentation", BMVC 2018, section 3.3.
https://arxiv.org/abs/1805.10180
"""

from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone
from regard.models.heads.pan import FeaturePyramidAttention, GlobalAttentionUpsample
from regard.models.segmenters.segmenter import Segmenter


class PAN(Segmenter):
    """A segmenter with a decoder of its own, which ends at the first stage's size. Arguments as of
    `Segmenter`, with FPA as head.
    """

    def __init__(self, backbone: Backbone, *, inner: int, num_classes: int, dropout: float = 0.1) -> None:
        head = FeaturePyramidAttention(backbone.channels[-1], inner)
        super().__init__(backbone, head, inner=inner, num_classes=num_classes, dropout=dropout)
        self.upsample = nn.ModuleList(
            GlobalAttentionUpsample(channels, inner) for channels in reversed(backbone.channels[:-1])
        )

    @property
    def stride(self) -> int:
        return self.backbone.strides[0]

    def refine(self, features: Tensor, maps: list[Tensor]) -> Tensor:
        for upsample, low in zip(self.upsample, reversed(maps[:-1]), strict=True):
            features = upsample(features, low)
        return features
