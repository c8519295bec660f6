"""RA-CNN's ranking loss: the finer scale must be surer of the right class than the coarser one.

Fu, Zheng & Mei, "Look Closer to See Better: Recurrent Attention Convolutional Neural Network for Fine-grained
Image Recognition", CVPR 2017.
https://openaccess.thecvf.com/content_cvpr_2017/html/Fu_Look_Closer_to_CVPR_2017_paper.html

    L = max(0, p_t(coarse) - p_t(fine) + margin)

p_t is the softmax probability of the right class, the margin 0.05.
"""

from torch import Tensor


def ranking_loss(coarse: Tensor, fine: Tensor, targets: Tensor, margin: float = 0.05) -> Tensor:
    """Mean over the images: logits (B, K) of two scales and classes (B,) -> a scalar."""
    right = targets[:, None]
    p_coarse, p_fine = (logits.float().softmax(dim=1).gather(1, right) for logits in (coarse, fine))
    return (p_coarse - p_fine + margin).relu().mean()
