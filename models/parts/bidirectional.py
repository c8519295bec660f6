"""A bidirectional recurrent encoder of sequences that are padded at the end.

Schuster & Paliwal, "Bidirectional Recurrent Neural Networks", IEEE Transactions on Signal Processing 1997.
https://doi.org/10.1109/78.650093

    f_j = GRU(x_j, f_{j-1}),   b_j = GRU(x_j, b_{j+1}),   h_j = [f_j; b_j]

The backward direction begins at the last word of each sequence: a state stays 0 for as long as it has only
met padding.
"""

import torch
from torch import Tensor, nn

from regard.models.decoding.until import Carried, repeat_while


class BidirectionalGRU(nn.Module):
    """What surrounds each word, on its left and on its right.

    Shape: (B, L, D) and visible bool (B, L), False where padded -> (B, L, 2 hidden), 0 where padded; for any
    L, and exported for any.

    Args:
        width: D.
        hidden: size of either direction's state.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.left_to_right = nn.GRUCell(width, hidden)
        self.right_to_left = nn.GRUCell(width, hidden)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        length = x.shape[1]
        positions = torch.arange(length, device=x.device)
        shown = visible.unsqueeze(2).to(x.dtype)  # (B, L, 1)
        batch, hidden = x.shape[0], self.left_to_right.hidden_size

        def unread(position: Tensor, *rest: Tensor) -> Tensor:
            return position < length

        def read(position: Tensor, f: Tensor, b: Tensor, fs: Tensor, bs: Tensor) -> Carried:
            mirrored = length - 1 - position
            f = self.left_to_right(_at(x, position), f) * _at(shown, position)
            b = self.right_to_left(_at(x, mirrored), b) * _at(shown, mirrored)
            return (
                position + 1,
                f,
                b,
                torch.where((positions == position).unsqueeze(1), f.unsqueeze(1), fs),
                torch.where((positions == mirrored).unsqueeze(1), b.unsqueeze(1), bs),
            )

        states = (x.new_zeros((batch, hidden)) for _ in range(2))
        outputs = (x.new_zeros((batch, length, hidden)) for _ in range(2))
        carried = (positions.new_zeros(()), *states, *outputs)
        _, _, _, forward, backward = repeat_while(unread, read, carried)
        return torch.cat([forward, backward], dim=2)


def _at(x: Tensor, position: Tensor) -> Tensor:
    """One place of a sequence: (B, L, D), () -> (B, D)."""
    return x.index_select(1, position.reshape(1)).squeeze(1)
