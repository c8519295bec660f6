"""Addresses: every form that is taken, by all who take one, and what is said about the others."""

import pytest

from regard.errors import InvalidInput
from regard.serving.protocol.address import Address, address_of


@pytest.mark.parametrize(
    ("url", "protocol", "address", "shown"),
    [
        (None, None, Address("grpc", "127.0.0.1", 8001), "127.0.0.1:8001"),
        (None, "http", Address("http", "127.0.0.1", 8000), "127.0.0.1:8000"),
        ("host:9", None, Address("grpc", "host", 9), "host:9"),
        ("host:9", "http", Address("http", "host", 9), "host:9"),
        ("[::1]:8000", "http", Address("http", "::1", 8000), "[::1]:8000"),
        ("http://host", None, Address("http", "host", 80), "host:80"),
        ("http://host:81/", "http", Address("http", "host", 81), "host:81"),
        ("HTTPS://Host/a/b/", None, Address("http", "Host", 443, True, "/a/b"), "https://Host:443/a/b"),
        ("http://host/a", None, Address("http", "host", 80, False, "/a"), "http://host:80/a"),
        ("grpc://host", None, Address("grpc", "host", 8001), "host:8001"),
        ("grpcs://host", "grpc", Address("grpc", "host", 443, True), "grpcs://host:443"),
        ("grpcs://[2001:db8::1]:1", None, Address("grpc", "2001:db8::1", 1, True), "grpcs://[2001:db8::1]:1"),
    ],
)
def test_forms(url: str | None, protocol: str | None, address: Address, shown: str) -> None:
    assert address_of(url, protocol) == address
    assert str(address) == shown
    assert address_of(address.url) == address


@pytest.mark.parametrize(
    ("url", "protocol", "rule"),
    [
        ("host", None, "host:port"),
        ("", None, "host:port"),
        ("host:0", None, "host:port"),
        ("host:99999", None, "host:port"),
        ("::1:8001", None, "host:port"),
        ("[::1]", None, "host:port"),
        ("[1.2.3.4]:80", None, "host:port"),
        ("[::1::]:80", None, "host:port"),
        ("ftp://host", None, "http://, https://, grpc:// or grpcs://"),
        ("http://", None, "host:port"),
        ("http://host/a?b=c", None, "host:port"),
        ("http://host/a b", None, "host:port"),
        ("host:8000/v2", "http", "only http:// and https:// addresses have a path"),
        ("grpcs://host/vision", None, "only http:// and https:// addresses have a path"),
        ("http://host", "grpc", "protocol 'grpc' contradicts the address 'http://host'"),
        ("grpcs://host", "http", "contradicts"),
        ("host:8001", "smtp", "protocol must be 'grpc' or 'http', got 'smtp'"),
    ],
)
def test_what_is_none(url: str, protocol: str | None, rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        address_of(url, protocol)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInput, match="give an API key or a token instead") as caught:
        address_of("https://me:secret@host")
    assert "secret" not in str(caught.value)


def test_the_environments_address_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGARD_URL", "https://host/vision")
    assert address_of(None) == address_of("https://host/vision")
    assert address_of("other:1") == Address("grpc", "other", 1)
    with pytest.raises(
        InvalidInput, match=r"contradicts the address 'https://host/vision' \(from REGARD_URL\)"
    ):
        address_of(None, "grpc")
    monkeypatch.setenv("REGARD_URL", "host")
    with pytest.raises(InvalidInput, match=r"got 'host' \(from REGARD_URL\)"):
        address_of(None)
    monkeypatch.setenv("REGARD_URL", "")
    assert address_of(None) == Address("grpc", "127.0.0.1", 8001)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((host, True) for host in ("localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]")),
        *((host, False) for host in ("host", "localhost.example", "10.0.0.1", "[2001:db8::1]", "127")),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert address_of(f"{host}:1").is_loopback is loopback
