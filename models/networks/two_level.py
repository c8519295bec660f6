"""Two-level attention: one network keeps the patches that show the object, groups of another's filters find
its parts.

Xiao et al., "The Application of Two-level Attention Models in Deep Convolutional Neural Network for
Fine-grained Image Classification", CVPR 2015. https://arxiv.org/abs/1411.6447

    object level   patches whose probability of the parent class (FilterNet: softmax, summed over the parent's
                   labels) exceeds a threshold are kept; the answer is the mean softmax of DomainNet over them
    part level     DomainNet's filters in a middle convolution are clustered by spectral clustering of their
                   weights' cosine similarity into k = 3 part detectors; a detector's score of a patch is the
                   sum of its filters' responses, and its best patch's descriptor is taken; the descriptors,
                   side by side, are classified linearly
    answer         object + alpha part

Departures and readings:
- Which levels there are and how they share DomainNet is the paper's abstract and summaries of it; k = 3 is
  from memory, the threshold and alpha are ours (the paper validates alpha). The middle convolution is the
  last but one stage's last (conv4 in VGG, res4 in ResNet), its response to a patch the mean over positions.
- Candidates are a fixed grid over several scales; the paper takes selective search, which is outside any
  graph. `boxes` replaces them.
- The paper takes FilterNet ready-made from ImageNet, as one may here by loading its weights. In training the
  sharp choice is replaced by a mean weighted with FilterNet's probabilities, through which it learns to keep
  what DomainNet gets right.
- If no patch exceeds the threshold, the likeliest is kept.
- The paper's part classifier is a linear SVM; here it is a linear layer that does not train the descriptors.
- The paper trains DomainNet, clusters its filters, and trains the parts. `fit_parts` clusters; training calls
  it halfway through its epochs, and until then filters belong to the parts in turn.
"""

from collections.abc import Sequence
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone
from regard.models.backbones.by_name import build_backbone, check_side
from regard.models.classifiers import ImageClassifier, check_classes
from regard.models.losses.criterion import Criterion
from regard.models.parts.clustering import spectral_clustering
from regard.models.parts.crop import crop
from regard.models.parts.proposals import check_boxes, grid_boxes, pixels

BOXES = grid_boxes([(1.0, 1), (0.75, 2), (0.5, 3)])
# the labels of ImageNet's 1000 that are birds
BIRDS = tuple(chain(range(7, 25), range(80, 101), range(127, 147)))


class ObjectFilter(nn.Module):
    """FilterNet: how likely each patch shows the parent class.

    Args:
        backbone: of FilterNet.
        labels: number of labels that it tells apart.
        parent: those of the parent class.
        threshold: patches above it are kept.
    """

    def __init__(self, backbone: Backbone, *, labels: int, parent: Sequence[int], threshold: float) -> None:
        super().__init__()
        if not parent or not all(0 <= label < labels for label in parent) or len(set(parent)) in (0, labels):
            raise ValueError(
                f"parent must hold some of the {labels} labels of filter_labels, but not all, got "
                f"{list(parent)}"
            )
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must be in (0, 1), got {threshold}")
        self.network = ImageClassifier(backbone, num_classes=labels)
        self.parent, self.threshold = sorted(set(parent)), threshold

    def weights(self, patches: Tensor) -> Tensor:
        """Probability of the parent class: patches (B, R, 3, s, s) -> (B, R)."""
        probabilities = self.network(patches.flatten(0, 1)).float().softmax(dim=1)
        parent = torch.tensor(self.parent, device=patches.device)
        return probabilities.index_select(1, parent).sum(dim=1).unflatten(0, (-1, patches.shape[1]))

    def forward(self, patches: Tensor) -> Tensor:
        """1 for the patches to keep, 0 for the others: (B, R, 3, s, s) -> (B, R)."""
        return kept(self.weights(patches), self.threshold)


def kept(probabilities: Tensor, threshold: float) -> Tensor:
    """1 where a probability exceeds the threshold or, if none does, is the largest; else 0: (B, R) ->
    (B, R).
    """
    largest = probabilities.amax(dim=1, keepdim=True)
    return ((probabilities > threshold) | (probabilities == largest)).to(probabilities.dtype)


class TwoLevel(nn.Module):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    Args:
        num_classes: K.
        backbone: a name of `BACKBONES`, for FilterNet and for DomainNet.
        width: channels of the backbones' first stage.
        patch_size: side that a patch is resized to.
        boxes: candidates as left, top, right, bottom in fractions of the image.
        parts: k, the number of part detectors.
        alpha: weight of the part level.
        filter_labels: number of labels that FilterNet tells apart.
        parent: its labels of the parent class; by default the birds among ImageNet's 1000.
        threshold: patches with a larger probability of the parent class are kept.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        backbone: str = "vgg16",
        width: int = 64,
        patch_size: int = 224,
        boxes: Sequence[Sequence[float]] = BOXES,
        parts: int = 3,
        alpha: float = 0.5,
        filter_labels: int = 1000,
        parent: Sequence[int] = BIRDS,
        threshold: float = 0.9,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if not alpha > 0:
            raise ValueError(f"alpha must be above 0, got {alpha}")
        self.boxes, self.patch_size, self.alpha = check_boxes(boxes), patch_size, alpha
        self.object_filter = ObjectFilter(
            build_backbone(backbone, width), labels=filter_labels, parent=parent, threshold=threshold
        )
        trunk = build_backbone(backbone, width)
        check_side(trunk, patch_size=patch_size)
        filters, channels = trunk.channels[-2:]
        if not 1 <= parts <= filters:
            raise ValueError(
                f"parts must be from 1 to the {filters} filters of the middle convolution, got {parts}"
            )
        self.domain = ImageClassifier(trunk, num_classes=num_classes)
        self.part_classifier = nn.Linear(parts * channels, num_classes)
        self.detectors: Tensor
        # (filters, k)
        self.register_buffer("detectors", F.one_hot(torch.arange(filters) % parts, parts).float())

    def patches(self, x: Tensor) -> Tensor:
        """The candidates: (B, 3, H, W) -> (B, R, 3, patch_size, patch_size)."""
        boxes = pixels(torch.tensor([self.boxes], dtype=x.dtype, device=x.device), x)
        return crop(x, boxes, (self.patch_size, self.patch_size))

    def describe(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptor of each patch, and of each part's best patch, side by side: (B, R, C), (B, k C)."""
        middle, last = (
            maps.mean(dim=(2, 3)) for maps in self.domain.backbone.stages(patches.flatten(0, 1))[-2:]
        )
        count = patches.shape[1]
        descriptors = last.unflatten(0, (-1, count))
        # (B, k)
        best = torch.matmul(middle.unflatten(0, (-1, count)), self.detectors.to(middle.dtype)).argmax(dim=1)
        found = descriptors.gather(1, best.unsqueeze(2).expand(-1, -1, descriptors.shape[2]))  # (B, k, C)
        return descriptors, found.flatten(1)

    def object_level(self, descriptors: Tensor, weights: Tensor) -> Tensor:
        """DomainNet's probabilities, averaged with the weights: (B, R, C), (B, R) -> (B, K)."""
        probabilities = self.domain.fc(descriptors).float().softmax(dim=2)
        return (probabilities * weights.unsqueeze(2)).sum(dim=1) / weights.sum(dim=1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x)
        descriptors, parts = self.describe(patches)
        object_level = self.object_level(descriptors, self.object_filter(patches))
        return _log(object_level + self.alpha * self.part_classifier(parts).float().softmax(dim=1))

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """The criterion of both levels; the object level's choice is soft."""
        patches = self.patches(x)
        descriptors, parts = self.describe(patches)
        object_level = self.object_level(descriptors, self.object_filter.weights(patches))
        return criterion(_log(object_level), targets) + criterion(
            self.part_classifier(parts.detach()), targets
        )

    def before_epoch(self, epoch: int, epochs: int, images: Tensor) -> None:
        """Cluster the filters halfway: half of the epochs are for DomainNet, the others for the parts."""
        if epoch == epochs // 2:
            self.fit_parts()

    @torch.no_grad()
    def fit_parts(self, *, seed: int = 0) -> Tensor:
        """Cluster DomainNet's filters into the part detectors, once DomainNet is trained and before the parts
        are: clusters (filters,).
        """
        filters = F.normalize(self.domain.backbone.filters(-2).flatten(1), dim=1)
        clusters = spectral_clustering(filters @ filters.T, self.detectors.shape[1], seed=seed)
        self.detectors.copy_(F.one_hot(clusters, self.detectors.shape[1]))
        return clusters


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()
