"""GAIN: a classifier whose training attends to the whole object, by erasing what it attends to and asking
again.

Li, Wu, Peng, Ernst & Fu, "Tell Me Where to Look: Guided Attention Inference Network", CVPR 2018.
https://arxiv.org/abs/1802.10171

    w_k^c = mean_xy d s^c / d f_k,   A^c = relu(sum_k w_k^c f_k)       eqs. 1-2, Grad-CAM as part of training
    L_self = L_cl + alpha L_am                                         eq. 6, from classes alone
    L_ext  = L_cl + alpha L_am + omega L_e                             eq. 8, with pixel masks: GAIN_ext

The losses are in `regard.models.losses.mining`. The paper weighs with alpha = 1 and omega = 10
(from memory and public implementations). In evaluation mode it is its backbone's classifier, and costs no
more.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.models.backbones.backbone import Backbone
from regard.models.classifiers import ImageClassifier
from regard.models.explain.cam import at_size_of
from regard.models.losses.criterion import UNLABELLED, Criterion
from regard.models.losses.mining import (
    attention_mining_loss,
    attention_supervision_loss,
    erased,
    normalized,
    soft_mask,
)


class GAIN(ImageClassifier):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    Args:
        backbone: any; VGG-16 in the paper.
        num_classes: K.
        mining_weight: alpha, of L_am.
        mask_weight: omega of L_ext, used where the training targets are label maps.
        threshold: sigma of T(A), in 0..1.
        sharpness: omega of T(A).
    """

    learns_from_label_maps = True  # what `regard train` asks of a classifier before it hands it any

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_classes: int = 1000,
        mining_weight: float = 1.0,
        mask_weight: float = 10.0,
        threshold: float = 0.5,
        sharpness: float = 10.0,
    ) -> None:
        super().__init__(backbone, num_classes=num_classes)
        if not (mining_weight >= 0 and mask_weight >= 0):
            raise ValueError(
                f"mining_weight and mask_weight must be 0 or more, got {mining_weight} and {mask_weight}"
            )
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must lie between 0 and 1, got {threshold}")
        if not sharpness > 0:
            raise ValueError(f"sharpness must be positive, got {sharpness}")
        self.mining_weight, self.mask_weight = mining_weight, mask_weight
        self.threshold, self.sharpness = threshold, sharpness

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """L_self of images of one class each, targets (B,); L_ext of images with label maps, targets
        (B, H, W).

        With label maps an image has every class that occurs in its map: L_cl is then the multi-label soft
        margin loss and s^c a sigmoid, where they are the criterion and a softmax for one class. Pixels of 255
        have no label.
        """
        features = self.feature_map(x)
        logits = self.classify(features)
        if targets.ndim == 3:
            return self._with_masks(x, features, logits, targets)
        image = torch.arange(len(x), device=x.device)
        _, scores = self.mined(x, features, image, targets)
        left = scores.softmax(dim=1)[image, targets]
        return criterion(logits, targets) + self.mining_weight * attention_mining_loss(left)

    def _with_masks(self, x: Tensor, features: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        classes = torch.arange(logits.shape[1], device=x.device)
        # (B, K, H, W)
        masks = (targets[:, None] == classes[:, None, None]) & (targets != UNLABELLED)[:, None]
        present = masks.any(dim=3).any(dim=2)  # (B, K)
        classification = F.multilabel_soft_margin_loss(logits, present.to(logits.dtype))
        image, label = present.nonzero(as_tuple=True)  # n pairs of an image and a class in it
        attention, scores = self.mined(x, features, image, label)
        left = scores.sigmoid()[torch.arange(len(image)), label]
        supervision = attention_supervision_loss(attention, masks[image, label].to(attention.dtype))
        return (
            classification + self.mining_weight * attention_mining_loss(left) + self.mask_weight * supervision
        )

    def mined(self, x: Tensor, features: Tensor, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """A^c of n pairs of an image and a class, and the logits of I*^c: (n, H, W) and (n, num_classes)."""
        attention = self.attention(features, image, label, x)
        if len(image) == 0:  # no layer normalizes a batch of none
            return attention, features.new_zeros((0, self.fc.out_features))
        return attention, self(self.without(x[image], attention))

    def attention(self, features: Tensor, image: Tensor, label: Tensor, x: Tensor) -> Tensor:
        """A^c of each pair of an image and a class at the images' size, scaled to 0..1, with a gradient of
        its own: (n, H, W).
        """
        chosen = features[image]  # (n, C, h, w)
        score = self.classify(chosen)[torch.arange(len(image)), label].sum()
        (gradient,) = torch.autograd.grad(score, chosen, create_graph=True)
        maps = (gradient.mean(dim=(2, 3), keepdim=True) * chosen).sum(dim=1, keepdim=True).relu()
        return normalized(at_size_of(x, maps))

    def without(self, images: Tensor, attention: Tensor) -> Tensor:
        """I*: the images without what is attended to."""
        return erased(images, soft_mask(attention, self.threshold, self.sharpness))
