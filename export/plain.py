"""The network itself, as it is exported: without torch.compile around it, and in float32."""

import copy

import torch
from torch import nn


def plain(network: nn.Module) -> nn.Module:
    """The network inside torch.compile, or a copy of it in float32 where a parameter is of another floating
    type: the very same numbers where that is narrower, rounded where it is float64.
    """
    inner = getattr(network, "_orig_mod", network)
    network = inner if isinstance(inner, nn.Module) else network
    kinds = {value.dtype for value in network.parameters() if value.is_floating_point()}
    return network if kinds <= {torch.float32} else copy.deepcopy(network).float()
