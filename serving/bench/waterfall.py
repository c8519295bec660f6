"""One request from the client's bytes to the network and back: its stages, each with its mean time.

Means, because only means add up: the 99th percentiles of two stages belong to different requests. All are
over the same requests, and their sum is held against the client's own clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from regard.serving.bench.triton_times import ServerTime

TOLERANCE = 0.05  # of the client's clock
Where = Literal["client", "wire", "server", "process"]
# in the order in which a request goes through them; the wire comes twice, and is counted once
STAGES: dict[str, tuple[Where, str]] = {
    "client": ("client", "the request made into bytes"),
    "wire": ("wire", "there and back, with the server's reading and writing of the protocol"),
    "queue": ("server", "waiting for an instance of the model"),
    "input": ("server", "tensors to the model's process"),
    "decode": ("process", "the image file to pixels"),
    "fit": ("process", "the pixels to the network's size"),
    "infer": ("process", "the network, and its answer made into tensors"),
    "handover": ("server", "waking the process, and being told of its answer"),
    "output": ("server", "tensors from the process"),
    "between": ("server", "passing tensors from one model to the next"),
    "back": ("client", "the answer read from its bytes"),
}


@dataclass(frozen=True)
class Stage:
    """One of STAGES, and its mean in milliseconds."""

    name: str
    time: float


@dataclass(frozen=True)
class ClientTime:
    """Means of a request by the client's clock, in milliseconds.

    whole: from end to end, by readings of its own: not the sum of the others.
    """

    whole: float
    encode: float
    round_trip: float
    read: float


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """The stages of a request under one load.

    requests: answered; the means are over them.
    served: requests in the server's means: more, where others asked the same model meanwhile.
    clock: the mean of a request by the client's clock, in milliseconds.
    left_out: stages that the endpoint has not or does not tell, each with the reason.
    """

    load: str
    requests: int
    served: int
    failed: int
    clock: float
    stages: tuple[Stage, ...]
    left_out: dict[str, str]

    @property
    def sum(self) -> float:
        """Of the stages, in milliseconds."""
        return sum(stage.time for stage in self.stages)

    @property
    def apart(self) -> float:
        """How far the sum is from the client's clock, as a fraction of it."""
        return abs(self.sum - self.clock) / self.clock

    @property
    def adds_up(self) -> bool:
        """Whether the sum is the client's clock, within TOLERANCE."""
        return self.apart <= TOLERANCE

    @property
    def told(self) -> str:
        """The sum and the client's clock in a line."""
        return (
            f"{self.requests:,} requests: the stages' sum {self.sum:.2f} ms, the client's clock "
            f"{self.clock:.2f} ms, {100 * self.apart:.1f} % apart"
            + ("" if self.adds_up else ": they do not add up")
        )

    def share(self, stage: Stage) -> str:
        """Of the sum, in percent."""
        return f"{100 * stage.time / self.sum:.0f} %"


def stages_of(client: ClientTime, server: ServerTime, inner: Mapping[str, float] | None) -> tuple[Stage, ...]:
    """The stages, in order. A time below zero, of clocks that overlap, is taken for none; the sum then
    exceeds the client's clock by as much.

    inner: mean milliseconds of what Triton counts as one, `infer`; None where the server does not tell them.
    """
    models = server.models
    infer = sum(model.compute_infer for model in models)
    times = {
        "client": client.encode,
        "wire": client.round_trip - server.total,
        "queue": sum(model.queue for model in models),
        "input": sum(model.compute_input for model in models),
        "infer": infer,
        "output": sum(model.compute_output for model in models),
        "back": client.read,
    }
    if inner is not None:
        times |= {**inner, "handover": infer - sum(inner.values())}
    if len(models) > 1:
        times["between"] = server.other
    return tuple(Stage(name, max(0.0, times[name])) for name in STAGES if name in times)
