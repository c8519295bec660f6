"""Interaction-aware spatial pyramid attention network: a backbone whose last stages' maps say together where
to look in the last one.

Du et al., "Interaction-aware Spatio-temporal Pyramid Attention Networks for Action Classification", ECCV
2018. https://arxiv.org/abs/1808.01106

    stages res(6 - scales), ..., res5 -> interaction-aware attention on res5 -> average pooling -> linear
    loss = criterion + lambda_1 interaction(A, X) + lambda_2 diversity(Y)

Backbone, loss and parts are the paper's; see the attention and its losses for what is known of them. The
stages, the classifier's pooling and both lambdas are our choice.
"""

from torch import Tensor, nn

from regard.models.attention.interaction_aware import InteractionAware
from regard.models.backbones.backbone import Backbone
from regard.models.classifiers import BackboneClassifier, GlobalAveragePool
from regard.models.losses.criterion import Criterion
from regard.models.losses.interaction import interaction_loss, scale_diversity_loss


class InteractionPyramid(BackboneClassifier):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    Args:
        backbone: any.
        num_classes: K.
        scales: how many of its last stages the attention sees, at least 2.
        components: number of attention maps.
        interaction: weight of the interaction loss, lambda_1.
        diversity: weight of the diversity loss, lambda_2.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_classes: int = 1000,
        scales: int = 3,
        components: int = 8,
        interaction: float = 0.1,
        diversity: float = 0.1,
    ) -> None:
        super().__init__(backbone, num_classes)
        if not 2 <= scales <= len(backbone.channels):
            raise ValueError(f"scales must be from 2 to {len(backbone.channels)}, got {scales}")
        if not (interaction >= 0 and diversity >= 0):
            raise ValueError(
                f"weights of losses must not be negative, got interaction={interaction} and "
                f"diversity={diversity}"
            )
        self.scales, self.loss_weights = scales, (interaction, diversity)
        *others, channels = backbone.channels[-scales:]
        self.attention = InteractionAware(channels, components, others)
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(channels, num_classes)

    def maps(self, x: Tensor) -> list[Tensor]:
        """The stages' maps that the attention sees."""
        return self.backbone.stages(x)[-self.scales :]

    def feature_map(self, x: Tensor) -> Tensor:
        *others, last = self.maps(x)
        return self.attention(last, *others)

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, self.fc]

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """The criterion of the answer, and both losses of the attention."""
        *others, last = self.maps(x)
        scores = self.attention.scales(last, *others)
        weights = self.attention.fuse(scores).unflatten(2, last.shape[2:])
        logits = self.classify(self.attention.attend(last, weights))
        interaction, diversity = self.loss_weights
        return (
            criterion(logits, targets)
            + interaction * interaction_loss(weights, last)
            + diversity * scale_diversity_loss(scores)
        )
