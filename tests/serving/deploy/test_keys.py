"""`python -m regard.serving.deploy.keys`: what it makes, what it leaves alone, what it refuses."""

import json
import ssl
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store
from jwt.algorithms import ECAlgorithm

from regard.errors import InvalidInput
from regard.serving.deploy.keys import certificates
from regard.serving.deploy.keys.__main__ import main
from regard.serving.deploy.keys.folders import Folders
from regard.serving.deploy.keys.private_file import write_private
from regard.serving.deploy.keys.tokens import token


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(*(tmp_path / name for name in ("private", "gateway", "client", "grafana")))


def run(folders: Folders, *more: str) -> int:
    names = ("private", "gateway", "client", "grafana")
    return main([*(f"--{name}={getattr(folders, name)}" for name in names), *more])


def contents(folders: Folders) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for folder in (folders.private, folders.gateway, folders.client, folders.grafana)
        for path in folder.iterdir()
    }


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_it_makes_what_is_missing_and_then_nothing(
    folders: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folders) == 0
    told = capsys.readouterr().out
    for path in (folders.client_ca, folders.client_key, folders.operator_key, folders.server_certificate):
        assert str(path) in told
    made = contents(folders)
    names = {
        folders.private: {"ca.key", "ca.pem", "token.key"},
        folders.gateway: {"server.key", "server.pem", "api_keys.json", "tokens.json"},
        folders.client: {"ca.pem", "api_key", "operator_key", "grafana_password"},
        folders.grafana: {"grafana_password"},
    }
    assert {folder: {path.name for path in folder.iterdir()} for folder in names} == names
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert folders.grafana_password.read_text() == folders.client_grafana_password.read_text()
    secrets = {
        path.read_text() for path in (folders.client_key, folders.operator_key, folders.grafana_password)
    }
    assert len(secrets) == 3
    assert all(len(each) == 43 and each not in told for each in secrets)
    for path in (folders.ca_key, folders.token_key):
        assert path.read_bytes() not in b"".join(
            content for at, content in made.items() if at.parent != folders.private
        )
    run(folders)
    assert contents(folders) == made
    assert "nothing to do" in capsys.readouterr().out


def test_the_certificate_is_one_that_clients_accept(folders: Folders) -> None:
    run(folders, "--host", "vision.example.com", "--host", "192.0.2.7", "--host", "")
    context = ssl.create_default_context(cafile=folders.client_ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does
    assert context.cert_store_stats()["x509_ca"] == 1
    names = [x509.DNSName(name) for name in ("localhost", "gateway", "vision.example.com")]
    for name in names:
        store = Store([certificate(folders.client_ca)])
        verifier = PolicyBuilder().store(store).build_server_verifier(name)
        verifier.verify(certificate(folders.server_certificate), [])  # the rules of the web
    alternatives = certificate(folders.server_certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert [str(each) for each in alternatives.value.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "::1",
        "192.0.2.7",
    ]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("29 days left", "under 30 days"),
        ("another name", "vision.example.com"),
        ("no key", "there was none"),
        ("a damaged key", "there was none"),
        ("another's key", "key is gone"),
        ("another CA", "by another CA"),
        ("no certificate", "there was none"),
        ("a damaged one", "there was none"),
    ],
)
def test_a_certificate_is_renewed_when_it_must_be(
    what: str, why: str, folders: Folders, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folders)
    before = contents(folders)
    hosts = []
    if what == "29 days left":
        later = datetime.now(timezone.utc) + timedelta(days=certificates.SERVER_DAYS - 29)

        class Later(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return later

        monkeypatch.setattr(certificates, "datetime", Later)
    elif what == "another name":
        hosts = ["--host", "vision.example.com"]
    elif what == "no key":
        folders.server_key.unlink()
    elif what == "a damaged key":
        folders.server_key.write_bytes(before[folders.server_key][:40])
    elif what == "another's key":
        folders.server_key.write_bytes(folders.token_key.read_bytes())
    elif what == "another CA":
        folders.ca_key.unlink()
    elif what == "no certificate":
        folders.server_certificate.unlink()
    else:
        folders.server_certificate.write_text("-----BEGIN CERTIFICATE-----\n")
    capsys.readouterr()
    assert run(folders, *hosts) == 0
    assert why in capsys.readouterr().out
    assert folders.server_certificate.read_bytes() != before[folders.server_certificate]
    certificate(folders.server_certificate).verify_directly_issued_by(certificate(folders.client_ca))
    key = serialization.load_pem_private_key(folders.server_key.read_bytes(), None)
    assert key.public_key() == certificate(folders.server_certificate).public_key()
    for path in (folders.token_key, folders.client_key, folders.operator_key, folders.api_keys):
        assert path.read_bytes() == before[path], "the others stay"


def test_api_keys_are_replaced_on_demand_alone(folders: Folders) -> None:
    run(folders)
    before = contents(folders)
    assert run(folders, "--rotate-api-keys") == 0
    changed = {path for path, content in contents(folders).items() if before[path] != content}
    assert changed == {folders.client_key, folders.operator_key, folders.api_keys}
    text = folders.api_keys.read_text()
    assert folders.client_key.read_text() in text
    assert before[folders.client_key].decode() not in text
    folders.client_key.unlink()
    run(folders)
    assert folders.client_key.read_text() in folders.api_keys.read_text()


def test_a_token_says_who_and_until_when(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    run(folders)
    capsys.readouterr()
    assert run(folders, "token", "--subject", "alice", "--hours", "0.5") == 0
    text = capsys.readouterr().out.strip()
    (extension,) = json.loads(folders.trusted_tokens.read_text())["resources"]
    trusted = extension["typed_config"]["providers"]["regard"]["local_jwks"]["inline_string"]
    public = ECAlgorithm.from_jwk(json.loads(trusted)["keys"][0])
    claims = jwt.decode(text, public, algorithms=["ES256"], audience="regard", issuer="regard")  # type: ignore[arg-type]
    assert claims["sub"] == "alice"
    assert claims["exp"] - claims["iat"] == 1800


def test_what_makes_no_token(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput, match="Make the keys first"):
        token(folders, "alice", 1)
    run(folders)
    for subject in ("", "a b", "a\nb", "x" * 65, "-a"):
        with pytest.raises(InvalidInput, match="a subject has 1 to 64"):
            token(folders, subject, 1)
    for hours in (0, -1, float("nan"), 24 * 366):
        with pytest.raises(InvalidInput, match="hours are above 0"):
            token(folders, "alice", hours)
    assert run(folders, "token", "--subject", "a b") == 1
    assert "a subject has" in capsys.readouterr().err


def test_errors_say_what_to_do(folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for host in ("a b", "https://a.example", "a.example:8443", "ü.example"):
        assert run(folders, "--host", host) == 1
        assert "a host is a name or an address" in capsys.readouterr().err
    folders.token_key.write_text("no key")
    assert run(folders) == 1
    assert f"{folders.token_key} holds no key" in capsys.readouterr().err
    occupied = tmp_path / "file"
    occupied.write_text("")
    assert main([f"--private={occupied}"]) == 1
    assert "cannot" in capsys.readouterr().err


def test_a_draft_of_a_crash_does_not_lend_its_mode(tmp_path: Path) -> None:
    (tmp_path / ".secret.draft").write_text("open to all")
    assert write_private(tmp_path / "secret", b"secret")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert not write_private(tmp_path / "secret", b"secret")
