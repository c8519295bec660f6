"""What the gateway refuses for its size, its number or its slowness, and how fast."""

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from tests.serving.deploy.asking import INFER, MODEL_INFER, Headers, ask, call, connect, message, read, send
from tests.serving.deploy.conftest import Guarded, guard
from tests.serving.deploy.local_gateway import Ports, running_gateway

MIB = 1 << 20
RATE = 20
CONNECTIONS = 8
AT_ONCE = 2
LOWERED = {
    "67108865": str(MIB + 1),
    "67108864": str(MIB),
    "{ max_tokens: 4000, tokens_per_fill: 2000, fill_interval: 1s }": (
        f"{{ max_tokens: {RATE}, tokens_per_fill: 1, fill_interval: 3600s }}"
    ),
    "max_active_downstream_connections: 1000": f"max_active_downstream_connections: {CONNECTIONS}",
    "max_requests: 512": f"max_requests: {AT_ONCE}",
    "request_headers_timeout: 10s": "request_headers_timeout: 1s",
    "request_timeout: 120s": "request_timeout: 1s",
}


def lowered(text: str) -> str:
    for limit, lower in LOWERED.items():
        text = text.replace(limit, lower)
    return text


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guard(tmp_path_factory.mktemp("tight"), edit=lowered) as running:
        yield running


def named(tight: Guarded, name: str) -> list[tuple[str, str]]:
    """A caller of its own, since all of these tests' requests count."""
    return [("authorization", f"Bearer {tight.gateway.token(name)}")]


def chunked(headers: Headers, sizes: list[int]) -> bytes:
    lines = [f"POST {INFER} HTTP/1.1", "host: localhost", "transfer-encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in headers]
    body = b"".join(f"{size:x}\r\n".encode() + bytes(size) + b"\r\n" for size in sizes)
    return "\r\n".join([*lines, "", ""]).encode() + body + b"0\r\n\r\n"


def test_the_lowered_limits_are_those_of_the_files(tight: Guarded) -> None:
    files = "".join(each.read_text() for each in (tight.gateway.keys.gateway.parent / "envoy").iterdir())
    for limit, lower in LOWERED.items():
        assert lower in files, f"{limit} is no longer in docker/gateway"


def test_a_request_above_the_size_is_refused(tight: Guarded) -> None:
    caller = named(tight, "large")
    before = len(tight.a.reached)
    assert ask(tight.gateway, INFER, caller, method="POST", body=bytes(MIB + 1)).status == 413
    assert send(tight.gateway, chunked(caller, [MIB // 2] * 3)).status == 413
    code, details, _ = call(tight.gateway, MODEL_INFER, caller, request=message(MIB + 1))
    assert code is grpc.StatusCode.UNKNOWN  # gRPC has no code for it
    assert "Payload Too Large" in details
    assert len(tight.a.reached) == before


def test_a_request_as_large_as_may_be_arrives_whole(tight: Guarded) -> None:
    caller = named(tight, "fitting")
    assert ask(tight.gateway, INFER, caller, method="POST", body=bytes(MIB)).status == 200
    assert tight.a.reached[-1].size == MIB
    assert send(tight.gateway, chunked(caller, [MIB // 2, MIB // 4])).status == 200
    assert tight.a.reached[-1].size == MIB * 3 // 4
    code, details, _ = call(tight.gateway, MODEL_INFER, caller, request=message(MIB - 5))
    assert code is grpc.StatusCode.OK, details
    assert tight.a.reached[-1].size == MIB - 5, "five bytes are gRPC's own"


def test_each_caller_has_a_rate_of_its_own(tight: Guarded) -> None:
    greedy, other = named(tight, "greedy"), named(tight, "other")
    answers = [ask(tight.gateway, "/v2", greedy) for _ in range(RATE + 1)]
    assert [each.status for each in answers] == [200] * RATE + [429]
    assert answers[0].headers["x-ratelimit-remaining"] == str(RATE - 1)
    assert call(tight.gateway, MODEL_INFER, greedy)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ask(tight.gateway, "/v2", other).status == 200


def test_a_full_queue_says_so_at_once(tight: Guarded) -> None:
    caller = named(tight, "crowd")
    tight.a.slow = threading.Event()
    try:
        with ThreadPoolExecutor(2 * AT_ONCE) as pool:
            before = len(tight.a.reached)
            waiting = [
                pool.submit(ask, tight.gateway, INFER, caller, method="POST", body=b"{}")
                for _ in range(AT_ONCE)
            ]
            calls = [pool.submit(call, tight.gateway, MODEL_INFER, caller) for _ in range(AT_ONCE)]
            while len(tight.a.reached) < before + 2 * AT_ONCE:
                time.sleep(0.01)
            began = time.monotonic()
            assert ask(tight.gateway, INFER, caller, method="POST", body=b"{}").status == 503
            assert call(tight.gateway, MODEL_INFER, caller)[0] is grpc.StatusCode.UNAVAILABLE
            assert time.monotonic() - began < 30, "a full queue is not waited for"
            tight.a.slow.set()
            assert [each.result().status for each in waiting] == [200] * AT_ONCE
            assert [each.result()[0] for each in calls] == [grpc.StatusCode.OK] * AT_ONCE
    finally:
        tight.a.slow.set()
        tight.a.slow = None


def test_a_deadline_that_passes_is_kept_and_frees_the_server(tight: Guarded) -> None:
    tight.a.slow = threading.Event()
    try:
        before = len(tight.a.ended)
        code, _, _ = call(tight.gateway, MODEL_INFER, named(tight, "hurried"), timeout=0.5)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        while len(tight.a.ended) == before:  # while the server itself still holds its answer back
            time.sleep(0.01)
    finally:
        tight.a.slow.set()
        tight.a.slow = None


def test_what_a_server_has_begun_is_not_repeated(tight: Guarded) -> None:
    before = len(tight.a.reached)
    tight.a.silent = True
    try:
        answer = ask(tight.gateway, INFER, named(tight, "unlucky"), method="POST", body=b"{}")
    finally:
        tight.a.silent = False
    assert answer.status == 503
    assert len(tight.a.reached) == before + 1


@pytest.mark.parametrize("start", [f"POST {INFER} HTTP/1.1\r\nhost: loc", "body"])
def test_a_slow_caller_is_given_up_and_holds_no_server(start: str, tight: Guarded) -> None:
    (name, value), *_ = named(tight, "slow")
    if start == "body":
        start = (
            f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\n{name}: {value}\r\ncontent-length: 9\r\n\r\n12345"
        )
    before = len(tight.a.reached)
    with connect(tight.gateway) as connection:
        connection.sendall(start.encode())
        assert read(connection).status == 408
    assert len(tight.a.reached) == before


def test_connections_above_the_number_are_refused(tight: Guarded) -> None:
    refusals = (ssl.SSLError, ConnectionResetError, BrokenPipeError)
    with contextlib.ExitStack() as idle:
        taken = 0
        with contextlib.suppress(*refusals):
            for _ in range(CONNECTIONS + 1):
                idle.enter_context(connect(tight.gateway))
                taken += 1
        assert 0 < taken <= CONNECTIONS
    status = 0
    while status != 200:  # once these are gone there is room again
        with contextlib.suppress(*refusals):
            status = ask(tight.gateway, "/healthz").status


def test_a_full_memory_refuses_until_there_is_room(tmp_path: Path) -> None:
    with guard(tmp_path, edit=lambda text: text.replace("1073741824", str(64 * MIB))) as small:
        gateway = small.gateway
        start = f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {gateway.api_key}\r\n"
        start += f"content-length: {20 * MIB}\r\n\r\n"
        with contextlib.ExitStack() as unfinished:
            for _ in range(3):
                upload = unfinished.enter_context(connect(gateway))
                with contextlib.suppress(ssl.SSLError, OSError):
                    upload.sendall(start.encode() + bytes(19 * MIB))
            while ask(gateway, "/v2", small.by_key).status != 503:
                time.sleep(0.05)
            assert call(gateway, MODEL_INFER, small.by_key)[0] is grpc.StatusCode.UNAVAILABLE
        while ask(gateway, "/v2", small.by_key).status != 200:
            time.sleep(0.05)


def test_a_dead_colour_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "routing").mkdir()
    with running_gateway({"a": Ports.free(), "b": Ports.free()}, tmp_path, deployment=tmp_path) as gateway:
        caller = [("x-api-key", gateway.api_key)]
        began = time.monotonic()
        assert ask(gateway, "/v2", caller).status == 503
        assert call(gateway, MODEL_INFER, caller)[0] is grpc.StatusCode.UNAVAILABLE
        assert time.monotonic() - began < 30
        assert ask(gateway, "/healthz").status == 200, "the gateway itself is well"
