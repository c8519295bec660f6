"""Where a request's time goes, by the server's own counters: Triton's statistics before and after, and their
difference for each request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PARTS = ("queue", "compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True)
class ModelTime:
    """Mean milliseconds that one request of the measured model spent in this model."""

    model: str
    queue: float
    compute_input: float
    compute_infer: float
    compute_output: float
    executions_per_request: float  # below 1 where Triton batched requests together

    @property
    def total(self) -> float:
        """The parts' sum."""
        return self.queue + self.compute_input + self.compute_infer + self.compute_output


@dataclass(frozen=True)
class ServerTime:
    """Mean milliseconds of one request in the server; for an ensemble with its composing models."""

    requests: int
    failed: int
    total: float  # from the request's arrival to the response's handing over
    models: tuple[ModelTime, ...]

    @property
    def other(self) -> float:
        """What is in no model's parts: scheduling, and an ensemble's passing on of tensors."""
        return self.total - sum(model.total for model in self.models)


Snapshot = dict[str, dict[str, int]]


def composing_models(config: Mapping[str, Any]) -> list[str]:
    """An ensemble's steps, each model once; empty of any other model."""
    steps = config.get("ensemble_scheduling", {}).get("step", [])
    return list(dict.fromkeys(step["model_name"] for step in steps))


def snapshot(statistics: Mapping[str, Sequence[Mapping[str, Any]]]) -> Snapshot:
    """Counts and nanoseconds of each model, summed over its versions; `statistics` is by model what
    `Connection.statistics` returns.
    """
    counters: Snapshot = {}
    for model, versions in statistics.items():
        counts = counters[model] = dict.fromkeys(("executions", "requests", "failed", "total", *PARTS), 0)
        for version in versions:
            times = version.get("inference_stats", {})
            counts["executions"] += int(version.get("execution_count", 0))
            counts["requests"] += int(times.get("success", {}).get("count", 0))
            counts["failed"] += int(times.get("fail", {}).get("count", 0))
            counts["total"] += int(times.get("success", {}).get("ns", 0))
            for part in PARTS:
                counts[part] += int(times.get(part, {}).get("ns", 0))
    return counters


def between(before: Snapshot, after: Snapshot, model: str) -> ServerTime | None:
    """What happened to the requests of `model` between two snapshots; None where it answered none.

    The other models of the snapshots are the steps of `model`; an ensemble keeps no parts of its own.
    """
    change = {
        name: {key: value - before[name][key] for key, value in counts.items()}
        for name, counts in after.items()
    }
    requests = change[model]["requests"]
    if requests <= 0:
        return None
    per_request = 1e6 * requests  # nanoseconds of all requests -> milliseconds of one
    steps = [name for name in change if name != model] or [model]
    models = tuple(
        ModelTime(
            name,
            queue=change[name]["queue"] / per_request,
            compute_input=change[name]["compute_input"] / per_request,
            compute_infer=change[name]["compute_infer"] / per_request,
            compute_output=change[name]["compute_output"] / per_request,
            executions_per_request=change[name]["executions"] / requests,
        )
        for name in steps
    )
    return ServerTime(requests, change[model]["failed"], change[model]["total"] / per_request, models)
