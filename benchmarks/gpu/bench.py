"""What the jobs of this benchmark share: the device, the clock, and the ceilings that the first of them
measures.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from figures import Figure
from torch import Tensor

Call = Callable[[], Any]
BUFFER_OVER_CACHE = 4  # what is read between two measurements, over the size of the L2 cache
WARM_UPS = 3


@dataclass
class Bench:
    """A run. On a CPU it is a rehearsal: the same code on tiny shapes, whose figures mean nothing.

    Attributes:
        device: where everything runs.
        rounds: measurements of each form.
        quick: few shapes.
        copy: measured bytes per second, read and written, of a large copy.
        products: measured operations per second of a large matrix product, by type.
    """

    device: torch.device
    rounds: int
    quick: bool = False
    copy: float = math.nan
    products: dict[str, float] = field(default_factory=dict)

    @property
    def rehearsing(self) -> bool:
        """Whether there is no GPU in this run."""
        return self.device.type == "cpu"

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """torch.compile, of just these shapes; a rehearsal only traces."""
        torch._dynamo.reset()
        return torch.compile(function, dynamic=False, backend="eager" if self.rehearsing else "inductor")

    def in_turns(self, forms: dict[str, Call], *, captured: bool = True) -> "Turns":
        """Median seconds of each form, all in turn within one run, with a cold L2 cache.

        captured: as CUDA graphs, so that what is timed is the GPU's work; else Python's is in it, as a caller
            meets it.
        """
        ready: dict[str, Call] = {}
        errors: dict[str, str] = {}
        for name, call in forms.items():
            try:
                ready[name] = self._warm(call)
                if captured and not self.rehearsing:
                    ready[name] = _graph_of(call)
            except Exception as error:  # one form must not stop the others
                errors[name] = said(error)
        flush = self._flush()
        measured: dict[str, list[Call]] = {name: [] for name in ready}
        for _ in range(self.rounds):
            for name, call in ready.items():
                flush()
                measured[name].append(self._timed(call))
        if not self.rehearsing:
            torch.cuda.synchronize()
        return Turns({name: median(told() for told in times) for name, times in measured.items()}, errors)

    def _warm(self, call: Call) -> Call:
        """The call, after all that happens only once."""
        if self.rehearsing:
            call()
            return call
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                call()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        return call

    def _flush(self) -> Call:
        """Fill the L2 cache with something else. It is read, not written: what is written must go to memory
        later, while the next form is measured.
        """
        if self.rehearsing:
            return lambda: None
        cache = torch.cuda.get_device_properties(self.device).L2_cache_size
        return torch.zeros(BUFFER_OVER_CACHE * cache // 4, device=self.device).sum

    def _timed(self, call: Call) -> Call:
        """Run once; gives the function that tells the seconds, once the GPU is done."""
        if self.rehearsing:
            started = time.perf_counter()
            call()
            seconds = time.perf_counter() - started
            return lambda: seconds
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        stop.record()
        return lambda: start.elapsed_time(stop) / 1e3


def _graph_of(call: Call) -> Call:
    """The replay of a call as a CUDA graph."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = call()

    def replay(kept: object = kept) -> None:  # what the graph answers must keep its memory
        graph.replay()

    return replay


@dataclass(frozen=True)
class Turns:
    """Median seconds by form, and why forms have none, or were timed with Python's work in it because no
    graph could be made of them.
    """

    seconds: dict[str, float]
    errors: dict[str, str]

    def __getitem__(self, form: str) -> float:
        if form not in self.seconds:
            raise RuntimeError(self.errors[form])
        return self.seconds[form]


@dataclass(frozen=True)
class Job:
    """A part of the run that may fail alone. title: of its row where it does."""

    title: str
    run: Callable[[Bench], Sequence[Figure]]


class NotPresent(Exception):
    """What a job needs is not installed or not there, which is no failure."""


def failed(title: str, why: str) -> Figure:
    """A row without a figure."""
    return Figure(title, math.nan, why, 0, "", details={"error": why})


def said(error: Exception) -> str:
    """The first line of an error, with its kind."""
    if isinstance(error, NotPresent):
        return f"not present: {error}"
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200]


def poison(like: Tensor) -> None:
    """Leave NaN in the memory that the next answer of this size is likely to get, so that a place which is
    not written shows.
    """
    torch.full_like(like, math.nan)
