"""Multiple-instance pooling: an image is a bag, its positions are the instances, and it has a class where at
least one of them does.

    GlobalMaxPool   s = max_i s_i                              as positive as its most positive instance
    NoisyOr         P = 1 - prod_i (1 - p_i), p = sigmoid(s)   the instances are independent causes
    GatedAttention  z = sum_i a_i h_i,   a = softmax_i(w . (tanh(V h_i) * sigmoid(U h_i)))

GatedAttention: Ilse, Tomczak & Welling, "Attention-based Deep Multiple Instance Learning", ICML 2018, eqs. 7
and 9. https://arxiv.org/abs/1802.04712. NoisyOr is given as log-odds, log(P / (1 - P)).

All three are unmoved by a permutation of the instances. Max pooling of classifier scores and noisy-or are the
operators that Ilse et al. compare with; noisy-or is from Maron & Lozano-Perez, "A Framework for
Multiple-Instance Learning", NIPS 1998.
"""

import torch
from torch import Tensor, nn


class GlobalMaxPool(nn.Module):
    """Largest score over all positions: (B, K, H, W) -> (B, K)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(dim=(2, 3))


class NoisyOr(nn.Module):
    """Log-odds of the bag from the log-odds s_i of its instances: (B, K, H, W) -> (B, K).

    With Lambda = -log prod_i (1 - p_i) = sum_i log(1 + exp(s_i)), P = 1 - exp(-Lambda) and

        log(P / (1 - P)) = log(exp(Lambda) - 1) = Lambda + log(1 - exp(-Lambda)).

    sigmoid of the result is P itself. softmax over classes is proportional to P / (1 - P): the probability of
    each class given that exactly one is in the image, where classes are independent.

    Both logarithms are written through atanh and tanh, which keep scores far below 0 where 1 + exp(s) rounds
    to 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        # whose slope at 0 is 1, which makes that of log(1 + exp(x)) come out as 1/2
        positive = x.clamp(min=0)
        u = (x - 2 * positive).exp()  # exp(-|x|)
        softplus = positive + 2 * (u / (2 + u)).atanh()  # log(1 + exp(x)) = max(x, 0) + log(1 + u)
        # Lambda; the logarithm stays finite where all underflow
        total = softplus.sum(dim=(2, 3)).clamp(min=torch.finfo(x.dtype).tiny)
        t = (total / 2).tanh()
        return total + (2 * t / (1 + t)).log()  # 1 - exp(-Lambda) = 2 t / (1 + t)


class GatedAttention(nn.Module):
    """Weighted mean of the instances' features: (B, C, H, W) -> (B, C).

    Args:
        channels: C.
        inner: rows of V and U; 128 in the paper's experiments.
    """

    def __init__(self, channels: int, inner: int = 128) -> None:
        super().__init__()
        if inner < 1:
            raise ValueError(f"inner must be at least 1, got {inner}")
        self.value = nn.Conv2d(channels, inner, kernel_size=1)  # V
        self.gate = nn.Conv2d(channels, inner, kernel_size=1)  # U
        self.score = nn.Conv2d(inner, 1, kernel_size=1, bias=False)  # w; a bias would cancel in the softmax

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position, adding up to 1: (B, H, W)."""
        scores = self.score(self.value(x).tanh() * self.gate(x).sigmoid())  # (B, 1, H, W)
        return scores.flatten(1).softmax(dim=1).unflatten(1, x.shape[2:])  # eq. 9

    def forward(self, x: Tensor) -> Tensor:
        weights = self.weights(x).flatten(1)[:, :, None]  # (B, HW, 1)
        return torch.matmul(x.flatten(2), weights)[:, :, 0]  # eq. 7
