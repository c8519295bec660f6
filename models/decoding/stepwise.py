"""What a network must offer so that it can be searched: its source once, then one step at a time.

memory is read at every step and never changes; its first tensor is (B, S, D), the S places of the source that
an alignment weighs. The state is what a step hands to the next; no shape of it changes from one to the next,
so that steps make a Loop: a cache of keys is as long as the longest answer from the start.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

Tensors = tuple[Tensor, ...]


class Step(NamedTuple):
    """One step: scores of every word as the next one (B, V), the state after it, and how much each place of
    the source counted (B, S).
    """

    logits: Tensor
    state: Tensors
    alignment: Tensor


@runtime_checkable
class Stepwise(Protocol):
    """A network that writes word by word.

    Attributes:
        words: V, the size of the vocabulary, padding included.
        longest: number of words, END included, at which an answer is cut off.
    """

    words: int
    longest: int

    @property
    def encode(self) -> Callable[..., Tensors]:
        """A method: from the network's inputs to the memory of them."""
        ...

    @property
    def start(self) -> Callable[..., Tensors]:
        """A method: from the memory's tensors to the state before the first word, which has their batch."""
        ...

    def decode(self, token: Tensor, position: Tensor, memory: Tensors, state: Tensors) -> Step:
        """The step from a word to the next.

        Args:
            token: int64 (B,), the word before; PADDING before the first.
            position: int64 (), how many words there are already.
            memory: of `encode`.
            state: of the step before.
        """
        ...
