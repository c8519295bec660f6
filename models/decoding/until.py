"""A loop over tensors: plain Python in PyTorch, one Loop in an exported graph."""

from collections.abc import Callable

import torch
from torch import Tensor

Carried = tuple[Tensor, ...]


def repeat_while(condition: Callable[..., Tensor], body: Callable[..., Carried], carried: Carried) -> Carried:
    """Replace `carried` by body(*carried) for as long as condition(*carried) holds.

    Args:
        condition: the carried tensors -> bool ().
        body: the carried tensors -> as many of the same shapes and types, none of them an argument or a view
            of one. A parameter's `.T` in it counts as a second tensor of one memory, which PyTorch
            refuses.
        carried: what the loop begins with.
    """
    if torch.compiler.is_exporting():
        looped: Carried = torch.while_loop(condition, body, carried)
        return looped
    while condition(*carried):
        carried = body(*carried)
    return carried
