"""Which colour serves what, and one beside the other: what a rollout is watched by."""

from panels import Dashboard, Panel, Row
from promql import EITHER, quantile, rate

REQUESTS = "envoy_cluster_upstream_rq_total"
# Envoy counts a class from its first answer on
FAILED = (
    rate("envoy_cluster_upstream_rq_xx", f'{EITHER}, envoy_response_code_class="5"', "colour")
    + f" or 0 * {rate(REQUESTS, EITHER, 'colour')}"
)
SHARE = f"{rate(REQUESTS, EITHER, 'colour')} / on () group_left () {rate(REQUESTS, EITHER)}"


def how_many(condition: str) -> str:
    """Series of a colour that meet a condition; 0 where none does."""
    return f"count by (colour) ({condition}) or 0 * max by (colour) (regard_up)"


NOW = Row(
    "Now",
    [
        Panel(
            "Serves",
            "1: the colour serves. 0: it is idle, starts, or has failed.",
            {"{{colour}}": "max by (colour) (regard_up)"},
            kind="stat",
        ),
        Panel(
            "Models whose canary fails",
            "Their process died or is stuck; the supervisor starts the server again.",
            {"{{colour}}": how_many("regard_canary_ok == 0")},
            kind="stat",
        ),
        Panel(
            "Versions whose goldens fail",
            "They answer otherwise than their export did.",
            {"{{colour}}": how_many("regard_goldens_ok == 0")},
            kind="stat",
        ),
        Panel(
            "Who serves what",
            "The snapshot, or the repository, that each colour was started on.",
            {"": "max by (colour, source) (regard_source_info)"},
            kind="table",
            width=12,
        ),
        Panel(
            "Models of each colour",
            "Value 1: the last canary was answered.",
            {"": "max by (colour, model) (regard_canary_ok)"},
            kind="table",
            width=12,
        ),
    ],
)

SIDE_BY_SIDE = Row(
    "One beside the other",
    [
        Panel(
            "Share of the requests",
            "The weights as they work out. Mirrored requests count: while all are mirrored, each has half.",
            {"{{colour}}": SHARE},
            unit="percentunit",
            stacked=True,
            highest=1,
        ),
        Panel(
            "Answers with 5xx",
            "At the gateway: the colour is away, full or too slow. Mirrored requests count.",
            {"{{colour}}": FAILED},
            unit="reqps",
        ),
        Panel(
            "95th percentile",
            "At the gateway, mirrored requests included.",
            {"{{colour}}": quantile("0.95", "envoy_cluster_upstream_rq_time", EITHER, "colour")},
            unit="ms",
        ),
        Panel(
            "Memory",
            "Of the server and its models' processes. What grows with the requests is a leak.",
            {"{{colour}}": "max by (colour) (regard_memory_bytes)"},
            unit="bytes",
        ),
        Panel(
            "Failures of models",
            "As Triton counts them, mirrored requests included.",
            {
                "{{model}} {{reason}} on {{colour}}": rate(
                    "nv_inference_request_failure", "", "colour, model, reason"
                )
            },
            unit="reqps",
        ),
        Panel(
            "Restarts in the last hour",
            "Of Triton, by its supervisor.",
            {"{{colour}}": "sum by (colour) (increase(regard_restarts_total[1h]))"},
        ),
    ],
)

COLOURS = Dashboard("colours", "regard: colours", {}, [NOW, SIDE_BY_SIDE])
