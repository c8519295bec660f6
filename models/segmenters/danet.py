"""DANet: a segmenter whose two attention branches are supervised as well.

Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019. https://arxiv.org/abs/1809.02983
"""

from torch import Tensor

from regard.models.backbones.backbone import Backbone
from regard.models.heads.danet import DANetHead
from regard.models.heads.layers import resize
from regard.models.segmenters.segmenter import AUXILIARY_WEIGHT, Segmenter, pixel_classifier


class DANet(Segmenter):
    """A segmenter whose two attention branches are supervised, each through a classifier of its own, with
    weight 1.

    So they are in the authors' code; the auxiliary loss is not there, it is the one of the other segmenters.
    Arguments as of `Segmenter`, with a DANet head.
    """

    head: DANetHead

    def __init__(
        self, backbone: Backbone, *, inner: int, num_classes: int, decoder: bool = False, dropout: float = 0.1
    ) -> None:
        head = DANetHead(backbone.channels[-1], inner)
        super().__init__(
            backbone, head, inner=inner, num_classes=num_classes, decoder=decoder, dropout=dropout
        )
        self.position_classifier = pixel_classifier(inner, num_classes, dropout)
        self.channel_classifier = pixel_classifier(inner, num_classes, dropout)

    def training_logits(self, x: Tensor) -> list[tuple[float, Tensor]]:
        maps = self.backbone.stages(x)
        position, channel = self.head.branches(maps[-1])
        scores = [
            (1.0, self.classify(position + channel, maps)),
            (1.0, self.position_classifier(position)),
            (1.0, self.channel_classifier(channel)),
            (AUXILIARY_WEIGHT, self.auxiliary(maps[-2])),
        ]
        return [(weight, resize(score, x)) for weight, score in scores]
