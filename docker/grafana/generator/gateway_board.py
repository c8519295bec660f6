"""What Envoy tells of the requests, answered and refused."""

from panels import Dashboard, Panel, Row
from promql import EITHER, INFERENCE, OVER_HTTP, TAKEN, quantile, rate

TIME = "envoy_vhost_vcluster_upstream_rq_time"

INFERENCES = Row(
    "Inferences, as those who ask see them",
    [
        Panel(
            "Inferences",
            "By the class of the answer over HTTP, by its status over gRPC: 0 is OK, 14 UNAVAILABLE. 5xx and "
            "14 are a colour that is away or full. Mirrored requests are none of these.",
            {
                "HTTP {{envoy_response_code_class}}xx": rate(
                    "envoy_vhost_vcluster_upstream_rq_xx", OVER_HTTP, "envoy_response_code_class"
                ),
                "gRPC {{grpc_status}}": rate("envoy_cluster_grpc_inferences", "", "grpc_status"),
            },
            unit="reqps",
        ),
        Panel(
            "Latency",
            "From a whole request at the gateway to the end of its answer.",
            {
                "p50": quantile("0.5", TIME, INFERENCE),
                "p95": quantile("0.95", TIME, INFERENCE),
                "p99": quantile("0.99", TIME, INFERENCE),
            },
            unit="ms",
        ),
        Panel(
            "Refused",
            "By the gateway, over HTTP and gRPC; no model has seen them. A 413 for an announced length is "
            "among the 404, since both are routes.",
            {
                "401 no valid key or token": rate("envoy_http_jwt_authn_denied", TAKEN),
                "403 the operator's alone": rate("envoy_http_rbac_denied", TAKEN),
                "404 not served": rate("envoy_http_rq_direct_response", TAKEN),
                "413 too large": rate("envoy_http_downstream_rq_too_large", TAKEN),
                "429 too many": rate(
                    "envoy_http_local_rate_limit_rate_limited", 'envoy_local_http_ratelimit_prefix="gateway"'
                ),
                "5xx": rate("envoy_http_downstream_rq_xx", f'{TAKEN}, envoy_response_code_class="5"'),
            },
            unit="reqps",
        ),
    ],
)

ITSELF = Row(
    "The gateway itself",
    [
        Panel(
            "Requests in flight",
            "Taken, and not answered yet.",
            {"in flight": f"sum(envoy_http_downstream_rq_active{{{TAKEN}}})"},
        ),
        Panel(
            "Connections",
            "Of clients, and to the colours.",
            {
                "clients": f"sum(envoy_http_downstream_cx_active{{{TAKEN}}})",
                "to {{colour}}": f"sum by (colour) (envoy_cluster_upstream_cx_active{{{EITHER}}})",
            },
        ),
        Panel(
            "Certificate",
            "Days until the first certificate expires; a huge number where there is none.",
            {"days": "min(envoy_server_days_until_first_cert_expiring)"},
            kind="stat",
            width=4,
        ),
        Panel(
            "Memory",
            "That Envoy has allocated.",
            {"gateway": "sum(envoy_server_memory_allocated)"},
            unit="bytes",
            kind="stat",
            width=4,
        ),
    ],
)

GATEWAY = Dashboard("gateway", "regard: gateway", {}, [INFERENCES, ITSELF])
