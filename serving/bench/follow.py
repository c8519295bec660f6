"""Following requests through a load, for their waterfall: the client notes when, the server what it counted.

The requests are all of one run, from its start until the last is answered, so that the client's clock and the
server's counters are of the same ones; a run before it opened the connections, and is not counted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from regard.errors import InvalidInput
from regard.serving.bench.arrivals import poisson
from regard.serving.bench.inside import Inside
from regard.serving.bench.load import Load, Record, Worker
from regard.serving.bench.measure import DRAIN, OPEN_WORKERS, Kind, Settings, load_name
from regard.serving.bench.target import TIMEOUT, Target
from regard.serving.bench.triton_times import Snapshot, between
from regard.serving.bench.waterfall import ClientTime, Waterfall, stages_of
from regard.serving.protocol.address import Address
from regard.serving.protocol.wire import Request
from regard.serving.triton.backends.regard_image.stages import PARAMETER

COUNTED = 10.0  # seconds; a request is counted a moment after it was answered
INSIDE = ("decode", "fit", "handover")  # of the model's process, beside the network


@dataclass(frozen=True)
class Stamps:
    """Seconds that one request took to be made into bytes, to be answered, and to be read."""

    encode: float
    round_trip: float
    read: float


def follow(target: Target, kind: Kind, load: float, settings: Settings, metrics: Address) -> Waterfall:
    """The waterfall of a load: clients of a closed loop, or arrivals a second of an open one, each timed from
    when it is sent.

    metrics: where the server's are.

    Raises:
        InvalidInput: nothing was answered, or the server has not counted what it answered.
    """
    requests = target.requests()
    if target.endpoint == "image":
        requests = [replace(request, parameters={PARAMETER: True}) for request in requests]
    stamps: list[Stamps] = []
    senders = int(load) if kind == "closed" else OPEN_WORKERS
    workers = [Worker(_sender(target, stamps), requests) for _ in range(senders)]
    rate = load if kind == "open" else None
    start, inside = target.snapshot(), Inside(target, metrics)
    warm_up = _answered(_run(workers, rate, settings.duration, settings.seed))
    before = _counted(target, start, len(warm_up))
    inside.means(len(warm_up))
    stamps.clear()
    length = settings.duration * settings.repeats
    records = _run(workers, rate, length, settings.seed)
    answered = _answered(records)
    if not answered:
        why = ", ".join(sorted({str(record.error) for record in records})) or "none was sent"
        raise InvalidInput(f"no request was answered in {length:g} s ({why}); measure longer windows.")
    client = ClientTime(
        whole=1e3 * fmean(record.done - record.sent for record in answered),
        encode=1e3 * fmean(each.encode for each in stamps),
        round_trip=1e3 * fmean(each.round_trip for each in stamps),
        read=1e3 * fmean(each.read for each in stamps),
    )
    server = between(before, _counted(target, before, len(answered)), target.name)
    assert server is not None  # so many are counted
    inner = inside.means(len(answered))
    return Waterfall(
        load=load_name(kind, load),
        requests=len(answered),
        served=server.requests,
        failed=len(records) - len(answered),
        clock=client.whole,
        stages=stages_of(client, server, inner),
        left_out={} if inside.why is None else dict.fromkeys(INSIDE, inside.why),
    )


def _run(workers: Sequence[Worker[Request]], rate: float | None, seconds: float, seed: int) -> list[Record]:
    """All requests that were begun in so many seconds, once they are answered."""
    arrivals = None if rate is None else poisson(rate, seconds, seed=seed) + time.perf_counter()
    with Load(workers, None if arrivals is None else arrivals.tolist()) as load:
        time.sleep(seconds)
        if load.open:
            load.drain(DRAIN)
    return load.records()


def _answered(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.error is None]


def _sender(target: Target, stamps: list[Stamps]) -> Callable[[Request], int]:
    """What a client does with a request, step by step; it adds its stamps to those of all workers."""
    connection = target.connection

    def send(request: Request) -> int:
        begin = time.perf_counter()
        call = connection.call(request, timeout=TIMEOUT)
        sent = time.perf_counter()
        reply = connection.exchange_inference(target.name, call.message, timeout=TIMEOUT)
        answered = time.perf_counter()
        call.parse(reply)
        stamps.append(Stamps(sent - begin, answered - sent, time.perf_counter() - answered))
        return len(reply.body)

    return send


def _counted(target: Target, before: Snapshot, requests: int) -> Snapshot:
    """The server's statistics, once it has counted so many more requests than before."""
    deadline = time.monotonic() + COUNTED
    while True:
        now = target.snapshot()
        counted = now[target.name]["requests"] - before[target.name]["requests"]
        if counted >= requests:
            return now
        if time.monotonic() > deadline:
            raise InvalidInput(
                f"{target.connection.address} counts {counted} of {requests} requests: it was started again "
                "meanwhile, or several servers share the address; follow requests to one server."
            )
        time.sleep(0.02)
