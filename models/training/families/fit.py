"""The loop that the families' small networks share: Adam over a cosine, from a network's own loss."""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from rich.progress import track
from torch import Tensor, nn

Batch = tuple[Tensor, ...]


def fit(
    network: nn.Module,
    loss: Callable[..., Tensor],
    batches: Callable[[], Iterable[Batch]],
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    most: float = 5.0,
    slow: tuple[str, ...] = (),
) -> None:
    """Train in place, and leave the network in evaluation mode.

    Args:
        network: what learns.
        loss: of a batch's tensors, a scalar.
        batches: one epoch of them.
        epochs: over which the learning rate falls to 0 as half a cosine.
        learning_rate: at the start.
        most: norm to which longer gradients are cut.
        slow: beginnings of the names of parameters that learn at a twentieth of the rate: policies, whose
            gradients are mostly noise at first, which Adam would scale up.
    """
    named = list(network.named_parameters())
    groups = [
        {"params": [each for name, each in named if name.startswith(slow) == slowly], "rate": rate}
        for slowly, rate in ((False, learning_rate), (True, learning_rate / 20))
    ]
    optimizer = torch.optim.Adam([group for group in groups if group["params"]])
    network.train()
    for epoch in track(range(epochs), description=type(network).__name__):
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * (1 + math.cos(math.pi * epoch / epochs)) / 2
        for batch in batches():
            optimizer.zero_grad(set_to_none=True)
            loss(*batch).backward()
            nn.utils.clip_grad_norm_(network.parameters(), most)
            optimizer.step()
    network.eval()


def shuffled(count: int, batch_size: int, random: torch.Generator) -> Iterator[Tensor]:
    """Indices of each batch of an epoch; a last one that is not full is left out."""
    for indices in torch.randperm(count, generator=random).split(batch_size):
        if len(indices) == batch_size:
            yield indices
