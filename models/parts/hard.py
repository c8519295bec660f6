"""Hard attention: each query takes one value whole, the best-scored one or one drawn at random.

Xu et al., "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", ICML 2015, section
4.1. https://arxiv.org/abs/1502.03044. Drawing with noise, and a gradient in spite of it: Jang, Gu & Poole,
"Categorical Reparameterization with Gumbel-Softmax", ICLR 2017, eqs. 1-2 and section 2.2 (straight-through).
https://arxiv.org/abs/1611.01144

    argmax     z = argmax_n s_n                                out = v_z
    sampled    z = argmax_n (s_n + g_n),  g_n ~ Gumbel(0, 1)   out = v_z,  so that P(z = n) = softmax_n(s)

The noise is an input: the same noise gives the same answer, zero noise gives the argmax, and an exported
graph draws nothing.
"""

import torch
from torch import Tensor, nn

from regard.models.parts.scoring import Scoring


class ArgmaxAttention(nn.Module):
    """Return for each query the value of its best-scored key. No gradient reaches the scores.

    Shape: keys (B, N, Dk), queries (B, M, Dq), values (B, N, Dv) -> (B, M, Dv). Without values the keys are
    the values.

    Args:
        scoring: how a key and a query are compared.
    """

    def __init__(self, scoring: Scoring) -> None:
        super().__init__()
        self.scoring = scoring

    def choice(self, keys: Tensor, query: Tensor) -> Tensor:
        """Index of the best-scored key: (B, M)."""
        return self.scoring(keys, query).argmax(dim=2)

    def forward(self, keys: Tensor, query: Tensor, values: Tensor | None = None) -> Tensor:
        values = keys if values is None else values
        index = self.choice(keys, query).unsqueeze(2).expand(-1, -1, values.shape[2])  # (B, M, Dv)
        return values.gather(1, index)


class SampledAttention(nn.Module):
    """Return for each query one value, drawn with the probabilities softmax(scores) by Gumbel noise.

    In training, gradients pass as if the choice were softmax((scores + noise) / temperature); the result is
    the chosen value all the same.

    Shape: keys (B, N, Dk), queries (B, M, Dq), noise (B, M, N), values (B, N, Dv) -> (B, M, Dv). Without
    values the keys are the values.

    Args:
        scoring: how a key and a query are compared.
        temperature: of the softmax that stands in for the choice in the backward pass; lower is closer to it,
            with noisier gradients.
    """

    def __init__(self, scoring: Scoring, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.scoring = scoring
        self.temperature = temperature

    def weights(self, keys: Tensor, query: Tensor, noise: Tensor) -> Tensor:
        """One at the chosen key, zero elsewhere: (B, M, N)."""
        scores = self.scoring(keys, query) + noise
        places = torch.arange(scores.shape[2], device=scores.device)
        chosen = (places == scores.argmax(dim=2, keepdim=True)).to(scores.dtype)
        if not self.training:
            return chosen
        relaxed = (scores / self.temperature).softmax(dim=2)
        return chosen + (relaxed - relaxed.detach())  # the bracket is zero, and has the gradient of `relaxed`

    def forward(self, keys: Tensor, query: Tensor, noise: Tensor, values: Tensor | None = None) -> Tensor:
        return torch.matmul(self.weights(keys, query, noise), keys if values is None else values)


def gumbel_noise(
    *shape: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """Draw Gumbel(0, 1) noise: -log of exponential noise."""
    return -torch.empty(shape, device=device).exponential_(generator=generator).log()


def sampled(log_probabilities: Tensor) -> Tensor:
    """An index drawn from each distribution, as the argmax under Gumbel noise: (..., P) -> (...)."""
    return (
        log_probabilities + gumbel_noise(*log_probabilities.shape, device=log_probabilities.device)
    ).argmax(dim=-1)
