"""The metrics that docs/monitoring.md names are those of a real server."""

import http.client
import re
from pathlib import Path

from tests.serving.conftest import Served

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
METRIC = re.compile(r"\bnv_[a-z_]+[a-z]\b")


def metrics(served: Served) -> str:
    connection = http.client.HTTPConnection(served.metrics_url, timeout=30)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_each_metric_of_the_page_is_there(served: Served) -> None:
    text = metrics(served)
    named = set(METRIC.findall(PAGE.read_text(encoding="utf-8")))
    assert len(named) > 10
    assert named <= set(METRIC.findall(text))


def test_the_labels_that_the_page_asks_for_are_there(served: Served) -> None:
    text = metrics(served)
    assert f'nv_inference_count{{model="{served.classifier}",version="1"}}' in text
    reasons = set(re.findall(r'nv_inference_request_failure{.*reason="(\w+)"', text))
    page = PAGE.read_text(encoding="utf-8")
    assert reasons == {"BACKEND", "CANCELED", "OTHER", "REJECTED"}
    assert all(f"`{reason}`" in page for reason in reasons)
