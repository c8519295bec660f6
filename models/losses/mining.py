"""Attention mining: what is left of an image without its attended region must not show the class any more.

Li, Wu, Peng, Ernst & Fu, "Tell Me Where to Look: Guided Attention Inference Network", CVPR 2018, eqs. 3-8.
https://arxiv.org/abs/1802.10171

    T(A) = 1 / (1 + exp(-omega (A - sigma)))      eq. 4, a threshold that has a gradient
    I*   = I - T(A) . I                           eq. 3
    L_am = 1/n sum_c s^c(I*^c)                    eq. 5
    L_e  = 1/n sum_c (A^c - H^c)^2                eq. 7, where masks H^c are at hand

A is scaled to a largest value of 1 for T and L_e, as public implementations do, whose sigma = 0.5 and omega =
10 are the defaults here. Images are normalized, so that an erased pixel is 0, the mean colour. The sum over a
mask's pixels in L_e is their mean.
"""

import torch
from torch import Tensor

TINY = 1e-8  # a map that is 0 everywhere stays 0


def normalized(attention: Tensor) -> Tensor:
    """Maps (n, H, W) of 0 or more, each divided by its largest value."""
    return attention / attention.amax(dim=(1, 2), keepdim=True).clamp(min=TINY)


def soft_mask(attention: Tensor, threshold: float, sharpness: float) -> Tensor:
    """T(A): near 1 where A is above the threshold sigma, near 0 below; exactly so as the sharpness omega
    grows.
    """
    return (sharpness * (attention - threshold)).sigmoid()


def erased(images: Tensor, mask: Tensor) -> Tensor:
    """I - T . I: images (n, 3, H, W) without what a mask (n, H, W) covers."""
    return images - mask[:, None] * images


def attention_mining_loss(scores: Tensor) -> Tensor:
    """L_am: the mean probability (n,) of each class in the image from which its region was erased; 0 where
    there is none.
    """
    return scores.sum() / max(len(scores), 1)


def attention_supervision_loss(attention: Tensor, masks: Tensor) -> Tensor:
    """L_e: the mean squared difference of maps and masks, both (n, H, W) in 0..1; 0 where there is none."""
    return torch.square(attention - masks).sum() / max(attention.numel(), 1)
