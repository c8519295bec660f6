"""The bidirectional GRU against PyTorch's own, over packed sequences."""

import pytest
import torch
from torch import nn

from regard.models.parts.bidirectional import BidirectionalGRU


def packed(module, x, lengths):
    """What nn.GRU says with the same weights: (B, L, 2 hidden)."""
    theirs = nn.GRU(
        x.shape[2], module.left_to_right.hidden_size, batch_first=True, bidirectional=True
    ).double()
    for ours, suffix in ((module.left_to_right, "l0"), (module.right_to_left, "l0_reverse")):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(theirs, f"{name}_{suffix}").data.copy_(getattr(ours, name))
    sequences = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(theirs(sequences)[0], batch_first=True, total_length=x.shape[1])[
        0
    ]


@pytest.mark.parametrize("lengths", [[5, 5], [1, 5], [3, 2]])
def test_equals_pytorchs(lengths):
    torch.manual_seed(0)
    module = BidirectionalGRU(3, 4).double()
    x, lengths = torch.randn(2, 5, 3, dtype=torch.float64), torch.tensor(lengths)
    visible = torch.arange(5) < lengths[:, None]
    assert torch.allclose(module(x, visible), packed(module, x, lengths), atol=1e-12, rtol=0)
