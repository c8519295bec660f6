"""Triton's statistics, before and after."""

from typing import Any

from regard.serving.bench.triton_times import between, composing_models, snapshot


def entry(count: int, total: int, **parts: int) -> dict[str, Any]:
    """One version's statistics; gRPC gives the numbers as texts and leaves out zeros."""
    stats: dict[str, Any] = {"success": {"count": str(count), "ns": str(total)}, "fail": {}}
    return {
        "execution_count": str(count),
        "inference_stats": stats | {part: {"count": count, "ns": ns} for part, ns in parts.items()},
    }


def test_a_plain_models_parts_and_the_rest() -> None:
    before = snapshot({"m": [entry(10, 50_000_000, queue=1_000_000)]})
    after = snapshot(
        {"m": [entry(30, 150_000_000, queue=21_000_000, compute_infer=60_000_000, compute_output=4_000_000)]}
    )
    time = between(before, after, "m")
    assert time is not None
    (model,) = time.models
    assert (time.requests, time.failed, time.total) == (20, 0, 5.0)
    assert (model.queue, model.compute_input, model.compute_infer, model.compute_output) == (
        1.0,
        0.0,
        3.0,
        0.2,
    )
    assert time.other == 5.0 - 4.2


def test_an_ensemble_is_split_into_its_steps() -> None:
    before = snapshot(
        {"e": [entry(0, 0)], "a": [entry(0, 0)], "b": [entry(5, 5_000_000, compute_infer=5_000_000)]}
    )
    steps = {"a": [entry(10, 0, compute_infer=10_000_000)], "b": [entry(15, 0, compute_infer=45_000_000)]}
    time = between(before, snapshot({"e": [entry(10, 60_000_000)], **steps}), "e")
    assert time is not None
    assert [(model.model, model.compute_infer) for model in time.models] == [("a", 1.0), ("b", 4.0)]
    assert time.other == 6.0 - 5.0


def test_versions_are_added_up_and_nothing_answered_is_none() -> None:
    counters = snapshot({"m": [entry(1, 5), entry(2, 7)]})
    assert (counters["m"]["requests"], counters["m"]["total"]) == (3, 12)
    assert between(counters, counters, "m") is None


def test_composing_models_are_named_once() -> None:
    steps = [{"model_name": "a"}, {"model_name": "b"}, {"model_name": "a"}]
    assert composing_models({"ensemble_scheduling": {"step": steps}}) == ["a", "b"]
    assert composing_models({"backend": "onnxruntime"}) == []
