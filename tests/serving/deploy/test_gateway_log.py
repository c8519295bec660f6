"""The gateway's log of requests, and its metrics."""

import json
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.serving.deploy.asking import INFER, MODEL_INFER, ask, call
from tests.serving.deploy.conftest import Guarded

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def line_of(guarded: Guarded, request_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for line in guarded.gateway.requests():
            if line["request_id"] == request_id:
                return line
        time.sleep(0.02)
    raise AssertionError(f"no line of {request_id}")


def test_a_request_is_a_line_that_its_caller_can_find(guarded: Guarded) -> None:
    sent = [*guarded.by_key, ("x-request-id", "mine-1"), ("traceparent", TRACE)]
    answer = ask(guarded.gateway, f"{INFER}?secret=1", sent, method="POST", body=b"the image")
    assert answer.headers["x-request-id"] == "mine-1"
    reached = guarded.a.reached[-1].headers
    assert (reached["x-request-id"], reached["traceparent"]) == ("mine-1", TRACE)
    line = line_of(guarded, "mine-1")
    expected = {
        "traceparent": TRACE,
        "client": "client",
        "method": "POST",
        "path": INFER,
        "model": "m",
        "status": 200,
        "grpc_status": None,
        "bytes_received": len(b"the image"),
        "upstream": f"127.0.0.1:{guarded.a.ports.http}",
        "colour": "a",
    }
    assert {name: line[name] for name in expected} == expected
    assert {"time", "duration_ms", "bytes_sent", "flags", "details", "address"} <= line.keys()


def test_a_grpc_call_is_a_line_with_its_status(guarded: Guarded) -> None:
    _, _, metadata = call(guarded.gateway, MODEL_INFER, [*guarded.by_key, ("x-request-id", "mine-2")])
    assert metadata["x-request-id"] == "mine-2"
    line = line_of(guarded, "mine-2")
    assert (line["grpc_status"], line["path"], line["model"]) == ("OK", MODEL_INFER, None)
    call(guarded.gateway, MODEL_INFER, [("x-request-id", "mine-3")])
    line = line_of(guarded, "mine-3")
    assert (line["grpc_status"], line["client"], line["colour"]) == ("Unauthenticated", None, None)


def test_who_sets_no_id_is_given_one(guarded: Guarded) -> None:
    ids = {ask(guarded.gateway, "/v2", guarded.by_key).headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert ids == {line_of(guarded, each)["request_id"] for each in ids}


@pytest.mark.parametrize("word", ["quote", "line"])
def test_a_line_stays_one_whatever_a_caller_sends(word: str, guarded: Guarded) -> None:
    nasty = {"quote": 'x","client":"operator', "line": "x\\u000a{}"}[word]
    headers = [*guarded.by_key, ("x-request-id", nasty), ("traceparent", "t" * 5000)]
    assert ask(guarded.gateway, f"{INFER}{nasty}", headers, method="POST").status in (400, 404)
    line = line_of(guarded, nasty)
    assert line["client"] in ("client", None)
    assert len(json.dumps(line)) < 2000


def test_the_log_has_no_secrets_and_no_bodies(guarded: Guarded) -> None:
    token = guarded.gateway.token("alice")
    ask(guarded.gateway, INFER, [("authorization", f"Bearer {token}")], method="POST", body=b"the image")
    ask(guarded.gateway, f"/v2?x-api-key={guarded.gateway.api_key}", [("x-request-id", "mine-4")])
    line_of(guarded, "mine-4")
    text = guarded.gateway.log.read_text()
    for secret in (token, guarded.gateway.api_key, guarded.gateway.operator_key, "the image", "secret=1"):
        assert secret not in text


def test_metrics_tell_what_was_refused_and_the_admin_is_not_reachable(guarded: Guarded) -> None:
    ask(guarded.gateway, "/v2")
    with urlopen(guarded.gateway.metrics_url, timeout=30) as answer:
        text = answer.read().decode()
    for metric in (
        "envoy_http_jwt_authn_denied",
        "envoy_http_rbac_denied",
        "envoy_cluster_upstream_rq_total",
    ):
        assert metric in text, metric
    at = f"http://127.0.0.1:{guarded.gateway.metrics_port}"
    with urlopen(f"{at}/ready", timeout=30) as answer:
        assert answer.status == 200
    for page in (
        "/",
        "/config_dump",
        "/quitquitquit",
        "/stats",
        "/certs",
        "/stats/prometheus/../../config_dump",
    ):
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{at}{page}", timeout=30)
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{at}/ready", data=b"", timeout=30)
