"""What a request's stages took inside the model's process, which Triton's statistics count as one.

A request with the parameter PARAMETER is added to the server's metric REQUESTS, and its seconds to SECONDS. A
thread does it a moment later, since telling the server can take as long as a small network does: it begins
with the first such request, and ends when none is left. All others pay for a few looks at the clock.

The benchmark takes the names from here.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

PARAMETER = "regard_stages"
SECONDS = "regard_image_stage_seconds"
REQUESTS = "regard_image_stage_requests"
STAGES: tuple[str, ...] = ("decode", "fit", "infer")
DELAY = 0.1  # seconds


class Stages:
    """The stages of one instance's requests.

    Args:
        labels: of its metrics.
    """

    def __init__(self, **labels: str) -> None:
        self.labels = labels
        self.decode = self.fit = 0.0  # seconds of the batch under way
        self.owed = dict.fromkeys(STAGES, 0.0)  # and of the requests that the server is still to be told of
        self.requests = 0
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.thread: threading.Thread | None = None
        self.counters: _Counters | None = None

    @contextmanager
    def counted(self, requests: Sequence[Any]) -> Iterator[None]:
        """The execution of a batch. Each of its requests waits for the whole of it, and so counts the whole;
        `infer` is what is neither decoding nor fitting.
        """
        begin = time.perf_counter()
        self.decode = self.fit = 0.0
        yield
        asking = [request for request in requests if PARAMETER in request.parameters()]
        if asking:
            infer = time.perf_counter() - begin - self.decode - self.fit
            self._owe(len(asking), {"decode": self.decode, "fit": self.fit, "infer": infer})

    def add(self, decode: float, fit: float) -> None:
        """Seconds that an image of the batch took."""
        self.decode += decode
        self.fit += fit

    def close(self) -> None:
        """The server is about to end this process."""
        self.closed.set()
        if self.thread is not None:
            self.thread.join()

    def _owe(self, requests: int, seconds: dict[str, float]) -> None:
        with self.lock:
            self.requests += requests
            for stage in STAGES:
                self.owed[stage] += requests * seconds[stage]
            if self.thread is None:
                self.thread = threading.Thread(target=self._tell, daemon=True)
                self.thread.start()

    def _tell(self) -> None:
        while not self.closed.wait(DELAY):
            with self.lock:
                requests, owed = self.requests, self.owed
                self.requests, self.owed = 0, dict.fromkeys(STAGES, 0.0)
                if not requests:
                    self.thread = None
                    return
            self.counters = self.counters or _Counters(self.labels)
            self.counters.add(requests, owed)


class _Counters:
    """The server's; none where it keeps no metrics."""

    def __init__(self, labels: dict[str, str]) -> None:
        import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # it is there

        counter = pb_utils.MetricFamily.COUNTER
        self.seconds: dict[str, Any] = {}
        try:
            # a counter is forgotten with its family
            self.families = (
                pb_utils.MetricFamily(name=SECONDS, description="Seconds in each stage", kind=counter),
                pb_utils.MetricFamily(name=REQUESTS, description="Requests they are of", kind=counter),
            )
            seconds, requests = self.families
            self.requests = requests.Metric(labels=labels)
            self.seconds = {stage: seconds.Metric(labels={**labels, "stage": stage}) for stage in STAGES}
        except pb_utils.TritonModelException as error:
            pb_utils.Logger.log_warn(f"no stages of model '{labels['model']}' are counted: {error}")

    def add(self, requests: int, seconds: dict[str, float]) -> None:
        """The requests last: who reads as many of them reads all of their seconds."""
        for stage, counter in self.seconds.items():
            counter.increment(seconds[stage])
        if self.seconds:
            self.requests.increment(requests)
