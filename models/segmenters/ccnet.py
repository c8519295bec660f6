"""CCNet trained with its category-consistent loss.

Huang et al., "CCNet: Criss-Cross Attention for Semantic Segmentation", TPAMI 2020, section 3.4.
https://arxiv.org/abs/1811.11721v2
"""

import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone
from regard.models.heads.ccnet import CCNetHead
from regard.models.losses.category_consistent import category_consistent_loss
from regard.models.losses.criterion import Criterion
from regard.models.segmenters.segmenter import Segmenter, weighted

REDUCTION = 16  # of the attended features, before the loss


class ConsistentCCNet(Segmenter):
    """A segmenter with CCNet's head, whose attended features are to agree within a class. It answers as one
    without does.

    Arguments as of `Segmenter`, with a CCNet head. `embedding`, a 1x1 convolution, serves the loss alone.
    """

    head: CCNetHead

    def __init__(
        self,
        backbone: Backbone,
        *,
        inner: int,
        num_classes: int,
        recurrence: int = 2,
        decoder: bool = False,
        dropout: float = 0.1,
    ) -> None:
        head = CCNetHead(backbone.channels[-1], inner, recurrence)
        super().__init__(
            backbone, head, inner=inner, num_classes=num_classes, decoder=decoder, dropout=dropout
        )
        self.embedding = nn.Conv2d(inner, max(1, inner // REDUCTION), 1)

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """Weighted sum of the supervised outputs' losses and the category-consistent loss."""
        maps = self.backbone.stages(x)
        attended = self.head.attended(maps[-1])
        supervised = self.supervised(self.head.merge(maps[-1], attended), maps, x)
        labels = F.interpolate(targets[:, None].float(), size=attended.shape[2:], mode="nearest")[:, 0].long()
        return weighted(supervised, targets, criterion) + category_consistent_loss(
            self.embedding(attended), labels
        )
