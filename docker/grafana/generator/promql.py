"""The queries that several panels ask."""

# Envoy's: what the listener took, inferences as those who ask see them, and what went to either colour
TAKEN = 'envoy_http_conn_manager_prefix="gateway"'
INFERENCE = 'envoy_virtual_cluster=~"inference_.*"'
OVER_HTTP = 'envoy_virtual_cluster="inference_http"'
EITHER = 'envoy_cluster_name=~"(http|grpc)_[ab]"'


def rate(metric: str, chosen: str, by: str = "") -> str:
    """How much more a second, summed up by labels; over all without any."""
    labels = f" by ({by}) " if by else ""
    return f"sum{labels}(rate({metric}{{{chosen}}}[$__rate_interval]))"


def quantile(share: str, metric: str, chosen: str, by: str = "") -> str:
    """Of one of Envoy's histograms."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', chosen, labels)})"
