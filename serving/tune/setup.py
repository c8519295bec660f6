"""What is tried: a variant of the model, how many instances of it with how many threads, and batching."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from regard.errors import InvalidInput
from regard.serving.repository.config import MAX_INSTANCES


@dataclass(frozen=True)
class Setup:
    """One way to serve the model; `variant` is "float32" or a variant's name."""

    variant: str
    instances: int
    threads: int
    batching: bool

    def __str__(self) -> str:
        instances = "1 instance" if self.instances == 1 else f"{self.instances} instances"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.variant}, {instances} x {threads}{', batching' if self.batching else ''}"


def setups(
    variants: Sequence[str],
    cores: int,
    *,
    instances: Sequence[int] | None = None,
    threads: Sequence[int] | None = None,
    batching: Callable[[str, int], Sequence[bool]],
) -> list[Setup]:
    """What to try, what serves most before what takes least; instances times threads are at most the cores,
    since more only wait for each other.

    Args:
        variants: their names.
        cores: of this machine.
        instances, threads: numbers to try. By default all ways to share out the cores, and one instance with
            one thread.
        batching: what to try of a variant with so many threads.

    Raises:
        InvalidInput: a number below 1, or none that fit the cores.
    """
    shares = _shares(cores, instances, threads)
    if not shares:
        raise InvalidInput(
            f"there are {cores} cores, and instances {_listed(instances)} x threads {_listed(threads)} are "
            "more in each way; name smaller numbers"
        )
    return [
        Setup(variant, count, each, together)
        for count, each in shares
        for variant in variants
        for together in batching(variant, each)
    ]


def _shares(
    cores: int, instances: Sequence[int] | None, threads: Sequence[int] | None
) -> list[tuple[int, int]]:
    """Pairs of instances and threads, none twice."""
    for number in (*(instances or ()), *(threads or ())):
        if number < 1:
            raise InvalidInput(f"numbers of instances and threads are 1 or more, got {number}")
    counts = instances or [count for count in range(MAX_INSTANCES, 0, -1) if cores % count == 0]
    if threads is not None:
        pairs = [(count, each) for count in counts for each in threads]
    else:
        pairs = [(count, cores // count) for count in counts if count <= cores]
        if instances is None:
            pairs.append((1, 1))
    return [*dict.fromkeys(pair for pair in pairs if pair[0] * pair[1] <= cores)]


def _listed(numbers: Sequence[int] | None) -> str:
    return "of any number" if numbers is None else ",".join(map(str, numbers))
