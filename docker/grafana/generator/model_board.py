"""What Triton tells of its models."""

from panels import Dashboard, Panel, Row
from promql import rate

CHOSEN = 'colour=~"$colour", model=~"$model"'
BY = "colour, model, version"
WHO = "{{model}} {{version}} on {{colour}}"


def of_each(metric: str) -> str:
    return rate(f"nv_inference_{metric}", CHOSEN, BY)


def mean(part: str) -> str:
    """Microseconds of a request."""
    return f"{of_each(f'{part}_duration_us')} / {of_each('request_success')}"


def recent(share: str, part: str = "request") -> str:
    """Microseconds: a quantile of the last minute, which Triton keeps."""
    return f'max by ({BY}) (nv_inference_{part}_summary_us{{quantile="{share}", {CHOSEN}}})'


REQUESTS = Row(
    "Requests",
    [
        Panel(
            "Answered",
            "By model and version, as Triton counts them: canaries and mirrored requests are among them.",
            {WHO: of_each("request_success")},
            unit="reqps",
        ),
        Panel(
            "Failed",
            "BACKEND is the model or its process, REJECTED a full queue, CANCELED the client.",
            {
                "{{model}} {{reason}} on {{colour}}": rate(
                    "nv_inference_request_failure", CHOSEN, "colour, model, reason"
                )
            },
            unit="reqps",
        ),
        Panel(
            "Waiting",
            "For an instance of the model, at this moment. What stays above 0 needs instances or machines.",
            {WHO: f"sum by ({BY}) (nv_inference_pending_request_count{{{CHOSEN}}})"},
        ),
    ],
)

LATENCY = Row(
    "Latency within the server",
    [
        Panel(
            "Median and 95th percentile",
            "From a request's arrival at Triton to its answer, in the last minute; nothing without requests.",
            {f"p50 {WHO}": recent("0.5"), f"p95 {WHO}": recent("0.95")},
            unit="µs",
        ),
        Panel("99th percentile", "In the last minute.", {f"p99 {WHO}": recent("0.99")}, unit="µs"),
        Panel(
            "95th percentile in the queue",
            "In the last minute. Where it grows and the time in the model does not, instances are too few.",
            {f"p95 {WHO}": recent("0.95", "queue")},
            unit="µs",
        ),
    ],
)

TIME = Row(
    "Where a request's time goes",
    [
        Panel(
            "Queue, input, inference, output",
            "Means of a request, on top of each other. For image files inference has decoding in it.",
            {
                f"queue {WHO}": mean("queue"),
                f"input {WHO}": mean("compute_input"),
                f"inference {WHO}": mean("compute_infer"),
                f"output {WHO}": mean("compute_output"),
            },
            unit="µs",
            width=16,
            stacked=True,
        ),
        Panel(
            "Images in a batch",
            "Mean. 1 where requests of one image each are not put together.",
            {WHO: f"{of_each('count')} / {of_each('exec_count')}"},
        ),
    ],
)

MODELS = Dashboard(
    "models",
    "regard: models",
    {"colour": "nv_inference_request_success", "model": "nv_inference_request_success"},
    [REQUESTS, LATENCY, TIME],
)
