"""Work that is done only when an image of the batch needs it, in a graph as well."""

from collections.abc import Callable

import torch
from torch import Tensor


def changed_if_any(
    needed: Tensor, change: Callable[[Tensor, Tensor], Tensor], x: Tensor, kept: Tensor
) -> Tensor:
    """`change(x, kept)` if any of `needed` is true, else `kept`; but one is computed, in an exported graph
    by an If.

    `change` keeps the shape, and what is not needed as it was: an image's answer must not depend on the
    batch that it comes in.
    """
    if not torch.compiler.is_exporting():
        return change(x, kept) if bool(needed.any()) else kept
    # laid out in one way, and no branch may return what it was given
    return torch.cond(
        needed.any(),
        lambda x, kept: change(x, kept).contiguous(),
        lambda _, kept: kept.clone(memory_format=torch.contiguous_format),
        (x, kept),
    )
