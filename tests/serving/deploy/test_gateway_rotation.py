"""New keys and certificates are taken up by a gateway that runs."""

import ssl
import time
from collections.abc import Callable
from pathlib import Path

from tests.serving.deploy.asking import ask, connect
from tests.serving.deploy.conftest import guard

from regard.serving.deploy.keys.api_keys import keep_api_keys
from regard.serving.deploy.keys.certificates import keep_certificates
from regard.serving.deploy.keys.tokens import keep_token_keys


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_all_of_them_change_without_a_restart(tmp_path: Path) -> None:
    with guard(tmp_path) as guarded:
        gateway, keys = guarded.gateway, guarded.gateway.keys

        def status(*header: str) -> int:
            return ask(gateway, "/v2", [(header[0], header[1])]).status

        old_key, old_token = gateway.api_key, f"Bearer {gateway.token('alice')}"
        assert (status("x-api-key", old_key), status("authorization", old_token)) == (200, 200)

        keep_api_keys(keys, rotate=True)
        until(lambda: status("x-api-key", gateway.api_key) == 200)
        assert status("x-api-key", old_key) == 401
        assert status("authorization", old_token) == 200

        keys.token_key.unlink()
        keep_token_keys(keys)
        until(lambda: status("authorization", f"Bearer {gateway.token('alice')}") == 200)
        assert status("authorization", old_token) == 401

        def shown() -> bytes:
            with connect(gateway) as connection:
                return connection.getpeercert(binary_form=True) or b""

        keep_certificates(keys, ["vision.example.com"])
        new = ssl.PEM_cert_to_DER_cert(keys.server_certificate.read_text())
        until(lambda: shown() == new)
        assert status("x-api-key", gateway.api_key) == 200


def test_other_routes_are_taken_up_when_their_file_is_replaced(tmp_path: Path) -> None:
    with guard(tmp_path) as guarded:
        routes = tmp_path / "envoy" / "routes.yaml"
        assert ask(guarded.gateway, "/v3", guarded.by_key).body == "not served here"
        new = tmp_path / "envoy" / "new.yaml"
        new.write_text(routes.read_text().replace("not served here", "not any more"))
        new.replace(routes)
        until(lambda: ask(guarded.gateway, "/v3", guarded.by_key).body == "not any more")
