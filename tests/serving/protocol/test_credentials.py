"""Credentials: what is sent, what is refused before it is sent, and what is never shown."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from tests.serving.protocol.gateway import Certificates

from regard.errors import InvalidInput
from regard.serving.protocol.address import Address, address_of
from regard.serving.protocol.connect import connect, connect_async
from regard.serving.protocol.credentials import Credentials

HTTPS, GRPCS = address_of("https://localhost"), address_of("grpcs://localhost")
both = pytest.mark.parametrize("address", [HTTPS, GRPCS], ids=["http", "grpc"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_headers() -> None:
    given = Credentials(api_key="k", token="t", headers={"Triton-Key": "a b"})
    assert given.sent_headers == {"triton-key": "a b", "x-api-key": "k", "authorization": "Bearer t"}
    assert Credentials().sent_headers == {}


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Credentials(api_key="hush1", token="hush2", headers={"x": "hush3"}))


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"api_key": "key\n"}, "API key must be one line"),
        ({"api_key": ""}, "API key must be one line"),
        ({"token": "schlüssel"}, "token must be one line of ASCII"),
        ({"token": ""}, "token is empty"),
        ({"headers": {"a": "b\r\nc: d"}}, "header 'a' must be one line"),
        ({"headers": {"a b": "c"}}, "header's name"),
        ({"headers": {"Authorization": "Basic x"}, "token": "t"}, "authorization would be sent twice"),
        ({"headers": {"A": "1", "a": "2"}}, "a would be sent twice"),
        ({"key": "client.key"}, "client.key goes with a certificate"),
    ],
)
def test_what_cannot_be_sent(options: dict[str, object], rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule) as caught:
        Credentials(**options)  # type: ignore[arg-type]
    assert "schlüssel" not in str(caught.value)


@both
def test_files_for_a_plain_address(certificates: Certificates, address: Address) -> None:
    plain = address_of(f"{address.protocol}://host:1")
    for open_ in (connect, connect_async):
        with pytest.raises(
            InvalidInput, match=rf"ca.pem is for an encrypted .* {address.protocol}s://host:1"
        ):
            open_(plain, Credentials(ca=certificates.ca))
        with pytest.raises(InvalidInput, match=r"client.pem is for an encrypted connection"):
            open_(plain, Credentials(certificate=certificates.certificate, key=certificates.key))


@both
def test_files_that_are_unusable(certificates: Certificates, address: Address, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    key = serialization.load_pem_private_key(certificates.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"word")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (tmp_path / "locked.key").write_bytes(key.private_bytes(pem, pkcs8, locked))
    certificate = certificates.certificate
    for credentials, rule in (
        (Credentials(ca=tmp_path / "no.pem"), "cannot read .*no.pem: No such file"),
        (Credentials(ca=tmp_path), "cannot read|must hold certificates"),
        (Credentials(ca=tmp_path / "text.pem"), "text.pem must hold certificates of authorities in PEM form"),
        (Credentials(certificate=certificate, key=tmp_path / "no.key"), "cannot read .*no.key"),
        (Credentials(certificate=certificate), "client.pem must hold a certificate and its private key"),
        (
            Credentials(certificate=certificates.key, key=certificates.key),
            "client.key must hold a certificate",
        ),
        (Credentials(certificate=certificate, key=certificates.folder / "server.key"), "belongs to another"),
        (Credentials(certificate=certificate, key=tmp_path / "locked.key"), "encrypted with a passphrase"),
    ):
        for open_ in (connect, connect_async):
            with pytest.raises(InvalidInput, match=rule):
                open_(address, credentials)
