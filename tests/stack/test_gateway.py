"""Who gets in, and to what: the gateway of the stack as its callers find it."""

from collections.abc import Iterator

import grpc
import pytest
from tests.stack.compose import Stack
from tests.stack.gateway import HOST, PORT, GatewayKeys
from tests.stack.models import TRAINED
from tritonclient.grpc import service_pb2, service_pb2_grpc

pytestmark = pytest.mark.stack
OPEN = ["/v2", "/v2/health/ready", "/v2/health/live", f"/v2/models/{TRAINED}", f"/v2/models/{TRAINED}/config"]
CLOSED = [
    ("POST", "/v2/repository/index"),
    ("POST", f"/v2/repository/models/{TRAINED}/unload"),
    ("POST", f"/v2/repository/models/{TRAINED}/load"),
    ("GET", "/v2/systemsharedmemory/status"),
    ("POST", "/v2/systemsharedmemory/region/a/register"),
    ("GET", "/v2/cudasharedmemory/status"),
    ("GET", "/v2/trace/setting"),
    ("POST", "/v2/trace/setting"),
    ("GET", "/v2/logging"),
    ("POST", "/v2/logging"),
    ("GET", "/metrics"),
    ("GET", "/status"),
    ("GET", "/stats/prometheus"),
    ("POST", f"/v2/models/{TRAINED}/generate"),
    ("GET", f"/v2/models/{TRAINED}/../../repository/index"),
    ("POST", "/v2/models/../repository/index"),
    ("POST", "//v2/repository/index"),
    ("POST", "/v2/%2e%2e/v2/repository/index"),
]
CALLS = {
    "RepositoryIndex": service_pb2.RepositoryIndexRequest(),
    "RepositoryModelUnload": service_pb2.RepositoryModelUnloadRequest(model_name=TRAINED),
    "SystemSharedMemoryStatus": service_pb2.SystemSharedMemoryStatusRequest(),
    "CudaSharedMemoryStatus": service_pb2.CudaSharedMemoryStatusRequest(),
    "TraceSetting": service_pb2.TraceSettingRequest(),
    "LogSettings": service_pb2.LogSettingsRequest(),
}


@pytest.fixture(scope="module")
def stub(keys: GatewayKeys) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    credentials = grpc.ssl_channel_credentials(keys.ca.read_bytes())
    with grpc.secure_channel(f"{HOST}:{PORT}", credentials) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.mark.parametrize("path", OPEN)
def test_a_key_opens_what_serves(keys: GatewayKeys, path: str) -> None:
    assert keys.ask(path, key=keys.client).status == 200
    assert keys.ask(path, key=keys.operator).status == 200


@pytest.mark.parametrize("key", [None, "", "wrong"])
@pytest.mark.parametrize("path", OPEN)
def test_nobody_is_answered_without_one(keys: GatewayKeys, path: str, key: str | None) -> None:
    assert keys.ask(path, key=key).status == 401


@pytest.mark.parametrize("role", ["client", "operator"])
@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_what_changes_or_shows_the_server_is_not_there(
    keys: GatewayKeys, method: str, path: str, role: str
) -> None:
    answer = keys.ask(path, key=getattr(keys, role), method=method, body=b"{}" if method == "POST" else None)
    assert answer.status in (400, 404), answer


@pytest.mark.parametrize("name", CALLS)
def test_nor_is_it_over_grpc(
    keys: GatewayKeys, stub: service_pb2_grpc.GRPCInferenceServiceStub, name: str
) -> None:
    for key in (keys.client, keys.operator):
        with pytest.raises(grpc.RpcError) as raised:
            getattr(stub, name)(CALLS[name], metadata=[("x-api-key", key)], timeout=30)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.RpcError) as raised:
        getattr(stub, name)(CALLS[name], timeout=30)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_statistics_and_colours_are_the_operators_alone(keys: GatewayKeys) -> None:
    path = f"/v2/models/{TRAINED}/stats"
    assert keys.ask(path, key=keys.operator).status == 200
    assert keys.ask(path, key=keys.client).status in (403, 404)
    assert keys.ask("/v2/health/ready", key=keys.client, regard_colour="a").status == 403
    assert keys.ask("/v2/health/ready", key=keys.operator, regard_colour="a").status == 200
    assert keys.ask("/regard/status", key=keys.client, regard_colour="a").status == 403


def test_a_token_of_ours_opens_and_one_of_another_does_not(stack: Stack, keys: GatewayKeys) -> None:
    made = stack.compose("run", "--rm", "--no-deps", "keys", "token", "--subject", "alice", "--hours", "1")
    token = made.split()[-1]
    assert keys.ask("/v2", authorization=f"Bearer {token}").status == 200
    head, body, signature = token.split(".")
    assert keys.ask("/v2", authorization=f"Bearer {head}.{body}.{signature[::-1]}").status == 401


def test_a_request_that_is_too_large_is_refused(keys: GatewayKeys) -> None:
    """Before it is sent where it says how large it is, and in the middle where it does not."""
    path = f"/v2/models/{TRAINED}/infer"
    assert keys.ask(path, key=keys.client, method="POST", content_length=str(65 << 20)).status == 413
    chunks = (bytes(1 << 20) for _ in range(200))
    chunked = keys.ask(path, key=keys.client, method="POST", body=chunks, transfer_encoding="chunked")
    assert chunked.status == 413


def test_each_caller_has_a_limit_of_requests(keys: GatewayKeys) -> None:
    """It takes thousands a second to reach it; test_gateway_limits.py reaches a lower one."""
    limits = [keys.ask("/v2", key=key).headers["x-ratelimit-limit"] for key in (keys.client, keys.operator)]
    assert all(int(limit.split(",")[0]) > 0 for limit in limits)


def test_a_callers_request_id_and_traceparent_are_in_the_log(stack: Stack, keys: GatewayKeys) -> None:
    traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = keys.ask("/v2", key=keys.client, x_request_id="asked-by-a-test", traceparent=traced)
    assert answer.headers["x-request-id"] == "asked-by-a-test"
    logged = stack.logged("gateway", "asked-by-a-test")
    assert (logged["client"], logged["traceparent"], logged["status"]) == ("client", traced, 200)
    assert not {keys.client, keys.operator} & {str(value) for value in logged.values()}


def test_nothing_but_the_gateway_and_prometheus_is_published(stack: Stack) -> None:
    published = {service: stack.inspect(service)["NetworkSettings"]["Ports"] for service in stack.services()}
    bound = {
        (service, inside): [(each["HostIp"], each["HostPort"]) for each in outside]
        for service, ports in published.items()
        for inside, outside in ports.items()
        if outside
    }
    assert bound == {
        ("gateway", "8443/tcp"): [("127.0.0.1", "8443")],
        ("prometheus", "9090/tcp"): [("127.0.0.1", "9090")],
    }
