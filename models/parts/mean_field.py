"""Attention as a conditional random field: whether a place counts depends on whether those around it do.

Chu et al., "Multi-Context Attention for Human Pose Estimation", CVPR 2017, section 4.1.
https://arxiv.org/abs/1702.07432

    Q_1 = sigmoid(U + K * U),   Q_t = sigmoid(U + K * Q_{t-1})

Every place is attended to or not, with a unary score U and pairwise scores by the kernel K, learned and the
same in all iterations, which are those of mean-field inference. Departures: as in the authors' code the first
iteration takes U for Q_0; K's bias begins at 2, so that at first nearly everything is attended to.
"""

from torch import Tensor, nn

OPEN = 2.0


class MeanFieldAttention(nn.Module):
    """Q of the unary scores of every place: (B, 1, H, W) -> (B, 1, H, W), between 0 and 1.

    Args:
        kernel: side of K, odd.
        iterations: of the mean field.
    """

    def __init__(self, kernel: int, iterations: int) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations}")
        self.pairwise = nn.Conv2d(1, 1, kernel, padding=kernel // 2)
        nn.init.constant_(self.pairwise.get_parameter("bias"), OPEN)
        self.iterations = iterations

    def forward(self, unary: Tensor) -> Tensor:
        q = unary
        for _ in range(self.iterations):
            q = (unary + self.pairwise(q)).sigmoid()
        return q
