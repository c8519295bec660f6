"""Object region mining by adversarial erasing: each classifier of a cascade finds what those before it left.

Wei et al., "Object Region Mining with Adversarial Erasing: A Simple Classification to Semantic Segmentation
Approach" (AE-PSL), CVPR 2017. https://arxiv.org/abs/1703.08448

    R_t = where the class activation map of classifier t, on the image without R_1 ... R_{t-1}, reaches the
          upper fifth of its range

Each classifier is trained on images from which the regions of those before it are erased, by the training
images' mean, which is 0 after normalization. The fraction is from memory. No command of regard trains or runs
a cascade: `mine` is for Python.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.models.classifiers import Classifier
from regard.models.explain.cam import class_activation_map, min_max_scaled


def mine(classifiers: Sequence[Classifier], x: Tensor, classes: Tensor, fraction: float = 0.2) -> Tensor:
    """The regions that a cascade has found after each step: bool (steps, B, H, W), each step's holding those
    before it.

    Args:
        classifiers: in evaluation mode, with a class activation map; each sees the images without what those
            before it found.
        x: images (B, 3, H, W), normalized.
        classes: of the objects looked for, (B,).
        fraction: of the map's range, counted from its largest value, that makes a region.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}")
    found = torch.zeros_like(x[:, 0], dtype=torch.bool)
    steps = []
    for classifier in classifiers:
        _, activation = class_activation_map(classifier, x.masked_fill(found[:, None], 0), classes)
        found = found | (min_max_scaled(activation[:, None])[:, 0] >= 1 - fraction)
        steps.append(found)
    return torch.stack(steps)
