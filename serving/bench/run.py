"""`regard bench` as a function: every load in turn, then the comparison."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from regard.contract.answers.kind import AnswerKind, Array
from regard.contract.names import IMAGE_ENDPOINT
from regard.errors import InvalidInput, UnknownName
from regard.serving.bench.baseline import Step, onnxruntime_step, torch_step
from regard.serving.bench.compare import Compared, Runner, compare, in_process
from regard.serving.bench.follow import follow
from regard.serving.bench.images import batches, read_images
from regard.serving.bench.inside import metrics_of
from regard.serving.bench.local_files import graph_of
from regard.serving.bench.measure import (
    Settings,
    closed_loop,
    in_sessions,
    load_name,
    open_loop,
    processors,
)
from regard.serving.bench.report import Report, machine, versions
from regard.serving.bench.target import TIMEOUT, Endpoint, Target, find_target, workers
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.explain import explained

RUNNERS = ("torch", "onnxruntime", "triton")
MIN_AGREEMENT = 0.99  # of classes or pixels; runners that answer otherwise are not worth comparing


@dataclass(frozen=True)
class Options:
    """What to measure, and how.

    url, protocol: the server, as `regard.Client` takes it.
    images: a folder; None stands for the samples that come with regard.
    texts: a file of them, for models of texts; None stands for words drawn from the Card's vocabulary.
    concurrency: clients of each closed loop.
    sessions: how many at once, of a model that remembers; in place of clients.
    rates: arrivals a second of each open loop.
    compare: names among RUNNERS, at least two, or none.
    repository: where the server's models lie; only `compare` looks there.
    weights: the network's file, where it does not come with regard; only `compare` with torch reads it.
    waterfall: follow the requests of each load, too, stage by stage.
    metrics: where the server's metrics are, as an address of HTTP; None stands for its host's port 8002. Only
        `waterfall` reads them.
    """

    model: str
    url: str | None = None
    protocol: Literal["grpc", "http"] | None = None
    credentials: Credentials = field(default_factory=Credentials)
    endpoint: Endpoint = "image"
    shared_memory: bool = False
    batch: int = 1
    images: Path | None = None
    texts: Path | None = None
    concurrency: Sequence[int] = (1, 2, 4, 8, 16)
    sessions: Sequence[int] = ()
    rates: Sequence[float] = ()
    compare: Sequence[str] = ()
    repository: Path = Path("model_repository")
    weights: Path | None = None
    waterfall: bool = False
    metrics: str | None = None
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        counts = [*self.concurrency, *self.sessions]
        if any(count < 1 for count in counts) or any(rate <= 0 for rate in self.rates):
            raise InvalidInput(
                f"clients, sessions and rates must be positive, got {counts} and {list(self.rates)}."
            )
        if self.sessions and (self.rates or self.compare or self.waterfall or self.shared_memory):
            raise InvalidInput(
                "sessions send their frames one after the other over the connection: leave rates, comparison,"
                " waterfall and shared memory out."
            )
        if not self.concurrency and not self.rates and not self.compare:
            raise InvalidInput("there is nothing to measure; name clients, rates or runners to compare.")
        for name in self.compare:
            if name not in RUNNERS:
                raise UnknownName.among("runner", name, RUNNERS)
        if self.compare and len(set(self.compare)) < 2:
            raise InvalidInput(
                f"a comparison needs two runners or more of {', '.join(RUNNERS)}, got "
                f"{', '.join(self.compare)}."
            )
        if self.waterfall and self.compare:
            raise InvalidInput(
                "a waterfall follows requests through a server, and a comparison drives other runners, too; "
                "ask for one of the two."
            )
        if self.waterfall and self.shared_memory:
            raise InvalidInput(
                "a waterfall shows what goes over the wire, and shared memory takes the tensors off it; "
                "leave shared memory out."
            )
        address = address_of(self.url, self.protocol)
        metrics_of(address, self.metrics)
        if self.shared_memory and not address.is_loopback:
            raise InvalidInput(
                f"shared memory needs a server on this machine, and {address} may be another; leave shared "
                "memory out."
            )


def bench(options: Options, report: Callable[[str], None] = lambda step: None) -> Report:
    """Measure a served model; `report` is told each load as it begins.

    Raises:
        ServerUnreachable, InferenceError, UnknownName, InvalidInput: see `find_target`; and a comparison
            whose runners disagree.
    """
    address = address_of(options.url, options.protocol)
    images = read_images(options.images) if options.images is not None else None
    connection = connect(address, options.credentials)
    try:
        target = find_target(
            connection,
            options.model,
            endpoint=options.endpoint,
            batch=options.batch,
            images=images,
            shared_memory=options.shared_memory,
            texts=options.texts,
        )
        _check_kind(target, options)
        levels, waterfalls = [], []
        metrics, settings = metrics_of(address, options.metrics), options.settings
        for sessions in options.sessions:
            report(load_name("sessions", sessions))
            levels.append(in_sessions(target, sessions, settings))
        for clients in () if options.sessions else options.concurrency:
            report(load_name("closed", clients))
            levels.append(closed_loop(target, clients, settings))
        for rate in options.rates:
            report(load_name("open", rate))
            levels.append(open_loop(target, rate, settings))
        for level in levels if options.waterfall else ():
            report(f"{level.name}, followed from the wire to the network")
            waterfalls.append(follow(target, level.kind, level.load, settings, metrics))
        compared = _compare(target, options, report) if options.compare else []
    finally:
        connection.close()
    return Report(
        model=options.model,
        protocol=address.protocol,
        endpoint=options.endpoint,
        shared_memory=options.shared_memory,
        batch=options.batch,
        images=target.questions,
        unit=_unit(target),
        duration=options.settings.duration,
        repeats=options.settings.repeats,
        levels=tuple(levels),
        compared=tuple(compared),
        machine=machine(),
        versions=versions(),
        waterfalls=tuple(waterfalls),
    )


def _check_kind(target: Target, options: Options) -> None:
    """Refuse loads that a model cannot take.

    Raises:
        InvalidInput: it remembers, and there are no sessions, or the other way round; or a comparison of a
            model that takes more than an image.
    """
    card = target.card
    if (card.state is None) == bool(options.sessions):
        raise InvalidInput(
            f"{options.model!r} keeps nothing from one frame to the next: measure it by clients, not by "
            "sessions."
            if options.sessions
            else f"{options.model!r} remembers from one frame to the next: name how many sessions."
        )
    if options.compare and [kind.kind for kind in card.inputs] != ["image"]:
        raise InvalidInput(
            f"a comparison is of models that take an image alone, and {options.model!r} takes "
            f"{' and '.join(kind.tensor for kind in card.inputs)}."
        )


def _unit(target: Target) -> str:
    """What is counted."""
    if target.card.state is not None:
        return "steps"
    return "answers" if target.card.texts else "images"


def _compare(target: Target, options: Options, report: Callable[[str], None]) -> list[Compared]:
    report("checking that every runner gives the same answers")
    groups = batches(target.images, target.card, target.batch)
    steps: dict[str, Step] = {}
    if "torch" in options.compare:
        from regard.models.load import network_of

        steps["torch"] = torch_step(network_of(target.card, options.weights), target.card)
    if "onnxruntime" in options.compare:
        # an ensemble has one version, whatever the model in it has
        model = target.model.removesuffix(IMAGE_ENDPOINT)
        computing = model if model in target.steps else target.name
        with explained(target.connection, target.model, endpoint=computing, timeout=TIMEOUT):
            statistics = target.connection.statistics(computing, timeout=TIMEOUT)
        version = max(int(entry["version"]) for entry in statistics)
        steps["onnxruntime"] = onnxruntime_step(
            graph_of(options.repository, model, version, target.card), target.card
        )
    # then PyTorch's are other random numbers, which takes the same time
    untrained = target.card.origin.weights_sha256 is None
    answers = {
        name: [step(group) for group in groups]
        for name, step in steps.items()
        if not (name == "torch" and untrained)
    }
    with ExitStack() as stack:
        runners = [
            in_process(name, step, groups, processors(), batch=target.batch) for name, step in steps.items()
        ]
        if "triton" in options.compare:
            answers["triton"] = [_served_answer(target, group) for group in groups]
            clients = max(options.concurrency, default=2 * processors())
            runners.append(Runner("triton", stack.enter_context(workers(target, clients)), target.batch))
        check_agreement(target.card.answer, answers)
        reference = "onnxruntime" if "onnxruntime" in steps else runners[0].name
        return compare(
            runners,
            reference=reference,
            duration=options.settings.duration,
            rounds=options.settings.repeats,
            report=report,
        )


def _served_answer(target: Target, group: Sequence[bytes]) -> Array:
    with explained(target.connection, target.model, endpoint=target.name, timeout=TIMEOUT):
        answer = target.connection.infer(target.request(group), timeout=TIMEOUT)
    return answer.arrays[target.card.answer.tensor]


def check_agreement(kind: AnswerKind, answers: Mapping[str, Sequence[Array]]) -> None:
    """Refuse runners whose classes or pixels differ from the first one's.

    Raises:
        InvalidInput: they agree on less than MIN_AGREEMENT, or not even on the shape.
    """
    first, expected = next(iter(answers.items()))
    for name, found in answers.items():
        same = np.mean([kind.agreement(a, b) for a, b in zip(expected, found, strict=True)])
        if not same >= MIN_AGREEMENT:
            raise InvalidInput(
                f"{first} and {name} agree on {100 * same:.1f} % of the answers only: they do not run the "
                "same network."
            )
