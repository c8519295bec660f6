"""What a comparison found against a new version, by its objectives."""

import math
from dataclasses import replace

from regard.serving.deploy.rollout.compare import Comparison
from regard.serving.deploy.rollout.objectives import Objectives

HOPELESS = 2.0  # so many times the limit: no more requests are needed to see it
SOME = 50  # requests that show a percentile so far off


def faults(comparison: Comparison, objectives: Objectives, *, agreement: float | None) -> list[str]:
    """Each objective that does not hold, in words.

    agreement: the least that was promised or asked for; None where there is none.
    """
    found = []
    if fault := _errors(comparison, objectives):
        found.append(fault)
    if fault := _latency(comparison, objectives):
        found.append(fault)
    if agreement is not None and (fault := _agreement(comparison, agreement)):
        found.append(fault)
    growth = comparison.growth
    if growth is not None and not growth <= objectives.memory:
        found.append(
            f"its memory grows by {growth / 1e6:.1f} MB in 1000 requests, at most "
            f"{objectives.memory / 1e6:g} MB passes"
        )
    return found


def hopeless(comparison: Comparison, objectives: Objectives) -> bool:
    """Whether no more requests could make it pass."""
    if len(comparison.errors) > objectives.errors * max(comparison.requests, objectives.requests):
        return True
    times = None if objectives.times is None else objectives.times * HOPELESS
    latency = objectives.latency
    if latency is not None:
        latency = replace(latency, limit=latency.limit * HOPELESS)
    far = replace(objectives, times=times, latency=latency)
    return len(comparison.new) >= SOME and _latency(comparison, far) is not None


def _errors(comparison: Comparison, objectives: Objectives) -> str | None:
    count, requests = len(comparison.errors), comparison.requests
    if not count or count <= objectives.errors * requests:
        return None
    return (
        f"{count} of {requests} requests failed, at most {objectives.errors:.2%} may: {comparison.errors[0]}"
    )


def _latency(comparison: Comparison, objectives: Objectives) -> str | None:
    slo = objectives.latency
    if slo is not None:
        _, new = comparison.latency(slo.percent)
        if new <= slo.limit:
            return None
        return f"its {slo.name} is {new:.3g} ms, at most {slo.limit:g} ms passes"
    assert objectives.times is not None  # one of them is given
    if not comparison.old:
        return None if not comparison.old_errors else "the old version answered nothing to compare it with"
    old, new = comparison.latency(objectives.percent)
    if new <= objectives.times * old:
        return None
    return (
        f"its p{objectives.percent:g} is {new:.3g} ms beside {old:.3g} ms of the old version, at most "
        f"{objectives.times:g} times as long passes"
    )


def _agreement(comparison: Comparison, least: float) -> str | None:
    """Images are few: as many of their decisions may differ as the promised share of them, rounded up."""
    agreements = comparison.agreements.values()
    decisions = sum(each.decisions for each in agreements)
    differ = sum((1 - each.share) * each.decisions for each in agreements)
    if not agreements:
        return "no image was answered by both versions, so that nothing is known of their agreement"
    if differ <= math.ceil((1 - least) * decisions - 1e-9) + 1e-9:
        return None
    return (
        f"its agreement with the old version is {comparison.agreement:.2%}, at least {least:.2%} passes; "
        "where it is meant to answer otherwise, ask for less, or compare by images of its own kind"
    )
