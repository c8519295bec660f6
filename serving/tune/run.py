"""`regard tune` as a function: what to try, what it is tried with, and what was found."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from regard.errors import InvalidInput
from regard.serving.bench.images import sample_images
from regard.serving.bench.measure import processors
from regard.serving.bench.report import machine, versions
from regard.serving.repository.add import Endpoints
from regard.serving.tune.accuracy import Accuracy
from regard.serving.tune.advice import advise
from regard.serving.tune.batch_gain import WORTH, BatchGain, batch_gain
from regard.serving.tune.candidates import Candidate
from regard.serving.tune.measure import Conditions
from regard.serving.tune.setup import setups
from regard.serving.tune.slo import Slo
from regard.serving.tune.sweep import Listener, Sweep, longest
from regard.serving.tune.trial import choice, nearest
from regard.serving.tune.tuning import Tuning


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to try, and how.

    instances, threads: to try; None for those of `setups`.
    batching: whether to batch where a variant can; None tries both where several images at once are faster.
    images: encoded, to send; None stands for those that come with regard and fit the Card.
    endpoints: that the model is served by, both by default.
    seconds: of one measurement.
    budget: seconds after which no other setup is begun.
    """

    slo: Slo
    instances: Sequence[int] | None = None
    threads: Sequence[int] | None = None
    batching: bool | None = None
    images: Sequence[bytes] | None = None
    endpoints: Endpoints | None = None
    seconds: float = 4.0
    budget: float = math.inf

    def __post_init__(self) -> None:
        if not self.seconds > 0 or not self.budget > 0:
            raise InvalidInput(
                "a measurement and the budget are longer than 0 seconds, got "
                f"{self.seconds:g} and {self.budget:g}"
            )


def tune(candidates: Sequence[Candidate], accuracy: Accuracy, options: Options, listener: Listener) -> Tuning:
    """Measure the ways to serve a model's variants on this machine. A KeyboardInterrupt while setups are
    measured ends it early.

    Raises:
        RegardError: an image or an option is at fault, or no setup can be served at all.
    """
    began = time.monotonic()
    by_name = {candidate.name: candidate for candidate in candidates}
    card = candidates[0].artifact.card
    images = sample_images(card) if options.images is None else options.images

    @cache
    def gain(variant: str, threads: int) -> BatchGain | None:
        candidate = by_name[variant]
        return batch_gain(candidate.artifact, images[0], threads=threads) if candidate.batches else None

    def choices(variant: str, threads: int) -> Sequence[bool]:
        if options.batching is not None:
            return (options.batching and by_name[variant].batches,)
        found = gain(variant, threads)
        return (False,) if found is None or found.factor < WORTH else (False, True)

    planned = setups(
        [*by_name], processors(), instances=options.instances, threads=options.threads, batching=choices
    )
    listener.say(f"{len(planned)} setups, about {_words(longest(len(planned), options.seconds))}")
    conditions = Conditions(
        slo=options.slo, images=images, endpoints=options.endpoints, seconds=options.seconds
    )
    sweep = Sweep(by_name, conditions, accuracy, listener)
    stopped = sweep.run(planned, began + options.budget)
    trials = [*sweep.trials.values()]
    subject = choice(trials) or (nearest(trials) if trials else None)
    return Tuning(
        model=card.name,
        slo=options.slo,
        accuracy=accuracy,
        seconds=options.seconds,
        planned=planned,
        trials=trials,
        failed=sweep.failed,
        stopped=stopped,
        advice=(
            advise(subject, gain(subject.setup.variant, subject.setup.threads), trials) if subject else None
        ),
        machine=machine(),
        versions=versions(),
    )


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{math.ceil(seconds / 60)} min"
