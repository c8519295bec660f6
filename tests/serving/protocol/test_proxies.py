"""Proxies: the environment's for remote addresses, through a real one; none for this machine, ever."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.serving.protocol.asking import IMAGE, Ask, ask_sync
from tests.serving.protocol.forward_proxy import forward_proxy
from tests.serving.protocol.gateway import PATH, REMOTE, Gateway

from regard.errors import InvalidInput, ServerUnreachable
from regard.serving.bench.measure import Settings
from regard.serving.bench.run import Options, bench
from regard.serving.protocol.address import Address, address_of
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.grpc_channel import Channel
from regard.serving.protocol.proxies import Proxy, proxy_for
from regard.serving.triton.health import HealthCheck, Observation
from regard.serving.triton.ports import free_ports

EVERY = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://far", None),
        ({"http_proxy": "http://p:1"}, "http://far", Proxy("p", 1)),
        ({"http_proxy": "p:1"}, "http://far", Proxy("p", 1)),
        ({"HTTP_PROXY": "http://p"}, "http://far/x", Proxy("p", 80)),
        ({"http_proxy": "http://p:1"}, "https://far", None),
        ({"https_proxy": "http://[::2]:1", "http_proxy": "http://q"}, "https://far", Proxy("::2", 1)),
        ({"https_proxy": "http://p:1", "http_proxy": "http://q"}, "grpcs://far", Proxy("p", 1)),
        ({"http_proxy": "http://p:1"}, "far:8001", Proxy("p", 1)),
        ({"grpc_proxy": "http://p:1", "https_proxy": "http://q"}, "grpc://far", Proxy("p", 1)),
        ({"all_proxy": "http://p:1"}, "https://far", Proxy("p", 1)),
        ({"https_proxy": "http://me:a%40b@p:1"}, "https://far", Proxy("p", 1, "me:a%40b")),
        ({"https_proxy": "http://p:1", "no_proxy": "far"}, "https://far", None),
        ({"https_proxy": "http://p:1", "no_proxy": "a, .example"}, "https://far.example", None),
        ({"https_proxy": "http://p:1", "no_proxy": "*"}, "https://far", None),
        ({"https_proxy": "http://p:1", "no_proxy": "near"}, "https://far", Proxy("p", 1)),
    ],
)
def test_the_choice(
    environment: dict[str, str], url: str, proxy: Proxy | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(address_of(url)) == proxy


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https", "grpc", "grpcs"])
def test_this_machine_needs_none(scheme: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EVERY:
        monkeypatch.setenv(name, "http://p:1")
    assert proxy_for(address_of(f"{scheme}://{host}")) is None


@pytest.mark.parametrize("value", ["socks5://p:1", "https://p:1", "http://:1", "http://p:x", "http://"])
def test_a_proxy_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", value)
    with pytest.raises(InvalidInput, match=r"https_proxy must name an HTTP proxy.*no_proxy"):
        proxy_for(address_of("https://far"))


def test_a_proxys_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hush" not in repr(Proxy("p", 1, "me:hush"))
    monkeypatch.setenv("https_proxy", "socks5://me:hush@p:1")
    with pytest.raises(InvalidInput) as caught:
        proxy_for(address_of("https://far"))
    assert "hush" not in str(caught.value)


def test_a_channel_without_a_proxy_does_not_look_for_one() -> None:
    """gRPC itself reads the environment, and knows no exception for this machine."""

    class Module:
        @staticmethod
        def insecure_channel(target: str, options: list[tuple[str, Any]]) -> dict[str, Any]:
            return dict(options)

    remote = Address("grpc", "10.0.0.1", 8001)
    assert Channel(remote, Credentials(), None).open(Module)["grpc.enable_http_proxy"] == 0
    proxied = Channel(remote, Credentials(), Proxy("p", 1, "me:word")).open(Module)
    assert proxied["grpc.http_proxy"] == "http://me:word@p:1"


@pytest.fixture
def dead_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable names a proxy that is not there."""
    (port,) = free_ports(1)
    for name in EVERY:
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")


@pytest.mark.usefixtures("dead_proxies")
@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_clients_and_bench_reach_this_machine(
    gateway: Gateway, served: Any, ask: Ask, tmp_path: Path, protocol: str, host: str
) -> None:
    if host == "[::1]":
        url = gateway.url(protocol, "plain6", host)
    else:
        port = (served.grpc_url if protocol == "grpc" else served.http_url).rpartition(":")[2]
        url = f"{protocol}://{host}:{port}"
    assert ask(url, served.classifier).label
    Image.fromarray(IMAGE).save(tmp_path / "image.png")
    once = Settings(duration=0.05, repeats=1)
    report = bench(
        Options(served.classifier, url=url, images=tmp_path, concurrency=(), rates=(20,), settings=once)
    )
    assert report.levels[0].errors == {}


@pytest.mark.usefixtures("dead_proxies")
def test_control_and_canaries_reach_this_machine(repository: Path, embedded: Any) -> None:
    with embedded(repository) as server:  # which loads each model over gRPC
        seen = HealthCheck(server, canary=0.0).look()
        assert seen == Observation(running=True, proven=frozenset(server.served))


@pytest.mark.parametrize("scheme", ["http", "https", "grpc", "grpcs"])
@pytest.mark.parametrize("login", ["", "me:a%40b@"])
def test_a_remote_server_is_reached_through_a_proxy(
    gateway: Gateway, served: Any, ask: Ask, scheme: str, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {
        "http": served.http_url,
        "grpc": served.grpc_url,
        "https": f"127.0.0.1:{gateway.ports['open']}",
        "grpcs": f"127.0.0.1:{gateway.ports['open']}",
    }[scheme]
    expected = ask_sync(served.grpc_url, served.classifier)
    with forward_proxy({f"{REMOTE}:77": there}) as proxy:
        for name in EVERY:
            monkeypatch.setenv(name, f"http://{login}{proxy.authority}")
        url = f"{scheme}://{REMOTE}:77" + (PATH if scheme == "https" else "")
        ca = gateway.certificates.ca if scheme.endswith("s") else None
        assert ask(url, served.classifier, ca=ca) == expected
    shown = "Basic bWU6YUBi" if login else None  # me:a@b
    assert {seen[2] for seen in proxy.seen} == {shown}
    methods = {seen[0] for seen in proxy.seen}
    assert methods == ({"GET", "POST"} if scheme == "http" else {"CONNECT"})
    assert all(seen[1].startswith("http://" if scheme == "http" else f"{REMOTE}:77") for seen in proxy.seen)


@pytest.mark.parametrize("scheme", ["https", "grpc"])
def test_a_proxy_that_does_not_lead_there_is_named(
    gateway: Gateway, ask: Ask, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with forward_proxy({}) as proxy:
        for name in EVERY:
            monkeypatch.setenv(name, f"http://{proxy.authority}")
        with pytest.raises(ServerUnreachable, match=rf"403.*through the proxy {proxy.authority}\).*no_proxy"):
            ask(f"{scheme}://{REMOTE}:77", "any")


@pytest.mark.usefixtures("dead_proxies")
@pytest.mark.parametrize("scheme", ["http", "https", "grpc"])
def test_a_proxy_that_is_not_there_is_named(ask: Ask, scheme: str) -> None:
    with pytest.raises(ServerUnreachable, match=r"refused, through the proxy 127.0.0.1:\d+\).*no_proxy"):
        ask(f"{scheme}://{REMOTE}:77", "any")
