"""What comparing models found."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, median
from typing import Any

from regard.serving.bench.statistics import Estimate
from regard.serving.evaluate.bootstrap import CONFIDENCE, RESAMPLES, Difference, interval, resampled
from regard.serving.evaluate.bootstrap import SEED as BOOTSTRAP_SEED
from regard.serving.evaluate.data import SEED, Data
from regard.serving.evaluate.evaluation import finite
from regard.serving.evaluate.metrics.metrics import Figures, Judged, Rates
from regard.serving.evaluate.resampling import figure_of
from regard.serving.evaluate.subject import Subject

TOLERATED = 0.005  # of the figure, half a point, for speed


@dataclass(frozen=True)
class Compared:
    """One of the models; the images are in the data's order.

    Attributes:
        agreements: of each image with the first model's answer, 0 to 1.
        seconds: from each image's file or pixels to its result, decoding included, one image at a time.
    """

    subject: Subject
    figures: Figures
    each: Sequence[Judged]
    agreements: Sequence[float]
    seconds: Sequence[float]

    @property
    def figure(self) -> float:
        """What it is judged by, the first of its metrics."""
        return next(iter(self.figures.metrics.values()))

    @property
    def agreement(self) -> float:
        """Mean over the images."""
        return fmean(self.agreements)

    @property
    def latency(self) -> float:
        """Median seconds of one image."""
        return median(self.seconds)

    @property
    def graph_bytes(self) -> int | None:
        """Size of the file that is run; None where that is not here."""
        graph: Path | None = self.subject.graph
        return graph.stat().st_size if graph else None


@dataclass(frozen=True)
class Comparison:
    """The models, the first of which the others are held against.

    memory: bytes of each as of `regard.serving.evaluate.memory`, None of those that are not known.
    throughputs: images a second of each under load, where that was measured.
    """

    data: Data
    models: Sequence[Compared]
    memory: Sequence[int | None] | None = None
    throughputs: Sequence[Estimate] | None = None

    @property
    def metric(self) -> str:
        """The name of what they are judged by."""
        return next(iter(self.models[0].figures.metrics))

    def difference(self, model: int, other: int = 0) -> Difference:
        """One model's figure less another's, with the interval of a paired bootstrap over the images."""
        mine, theirs = self.models[model].figure, self.models[other].figure
        low, high = interval(self._resampled[model] - self._resampled[other])
        return Difference(mine - theirs, low, high)

    @property
    def best(self) -> int:
        """The model of the highest figure, the first of equals."""
        figures = [-math.inf if math.isnan(model.figure) else model.figure for model in self.models]
        return figures.index(max(figures))

    @property
    def good(self) -> list[int]:
        """Those that are good enough: whose figure is at most TOLERATED below the best one's even at the
        interval's lower end.
        """
        return [place for place in range(len(self.models)) if not self._to_best(place).low < -TOLERATED]

    @property
    def choice(self) -> int:
        """Which one to take: the fastest of those that are good enough."""
        return min(self.good, key=lambda place: self.models[place].latency)

    @property
    def undecided(self) -> list[int]:
        """The faster ones that are not known to be good enough, nor to be worse: more images would tell."""
        longest = self.models[self.choice].latency
        faster = [place for place, model in enumerate(self.models) if model.latency < longest]
        return [place for place in faster if self._to_best(place).high >= -TOLERATED]

    def most_differing(self, count: int) -> list[int]:
        """The images that not all models answer alike, those first where they agree least; of equal ones
        those whose scores are farthest apart.
        """

        def apart(image: int) -> tuple[float, float]:
            scores = [model.each[image].score for model in self.models]
            return min(model.agreements[image] for model in self.models), min(scores) - max(scores)

        images = range(len(self.data.images))
        return sorted((image for image in images if apart(image)[0] < 1), key=apart)[:count]

    def to_json(self) -> str:
        """All of it as an indented JSON text; null for what is not known."""
        facts = {
            "data": str(self.data.found_in),
            "images": len(self.data.images),
            "of": self.data.total,
            "seed": SEED if self.data.sample else None,
            "metric": self.metric,
            "bootstrap": {"resamples": RESAMPLES, "seed": BOOTSTRAP_SEED, "confidence": CONFIDENCE},
            "tolerated": TOLERATED,
            "take": self.models[self.choice].subject.name,
            "undecided": [self.models[place].subject.name for place in self.undecided],
            "models": [self._facts(place) for place in range(len(self.models))],
        }
        return json.dumps(finite(facts), indent=2, allow_nan=False) + "\n"

    def _facts(self, place: int) -> dict[str, Any]:
        model = self.models[place]
        return {
            "model": model.subject.name,
            "run_by": model.subject.way,
            "metrics": model.figures.metrics,
            "difference": vars(self.difference(place)),
            "difference_to_best": vars(self._to_best(place)),
            "agreement": model.agreement,
            "least_agreement": min(model.agreements),
            "latency_seconds": model.latency,
            "graph_bytes": model.graph_bytes,
            "memory_bytes": self.memory[place] if self.memory else None,
            "throughput": vars(self.throughputs[place]) if self.throughputs else None,
            "each": [
                {"image": one.image, "score": one.score, "agreement": alike, "seconds": seconds, **one.facts}
                for one, alike, seconds in zip(model.each, model.agreements, model.seconds, strict=True)
            ],
        }

    def _to_best(self, place: int) -> Difference:
        return self.difference(place, self.best)

    @cached_property
    def _resampled(self) -> Rates:
        """Each model's figure over each draw of the images: (models, RESAMPLES)."""
        figures = [figure_of(model.subject.card, model.each) for model in self.models]
        return resampled(figures, len(self.data.images))
