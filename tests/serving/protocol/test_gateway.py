"""Through a real gateway: TLS, client certificates, keys, tokens, a path; and what is said when one fails."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.serving.protocol.asking import IMAGE, Ask, ask_sync
from tests.serving.protocol.gateway import API_KEY, TOKEN, Gateway
from typer.testing import CliRunner

from regard.errors import InferenceError, ServerUnreachable
from regard.serving.bench.measure import Settings
from regard.serving.bench.run import Options, bench
from regard.serving.cli.app import app
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault

schemes = pytest.mark.parametrize("scheme", ["https", "grpcs"])


@pytest.fixture(scope="module")
def direct(served: Any) -> Any:
    """The answer without a gateway."""
    return ask_sync(served.grpc_url, served.classifier)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(IMAGE).save(path)
    return path


@schemes
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_answer_is_the_servers(
    gateway: Gateway, served: Any, direct: Any, ask: Ask, scheme: str, host: str
) -> None:
    url = gateway.url(scheme, host=host)
    assert ask(url, served.classifier, ca=gateway.certificates.ca) == direct


@schemes
def test_large_tensors_and_encoded_images_pass(gateway: Gateway, served: Any, scheme: str) -> None:
    from regard.serving.client.sync import Client

    file = io.BytesIO()
    Image.fromarray(IMAGE).resize((256, 256)).save(file, "PNG")
    maps = []
    for url in (served.grpc_url, gateway.url(scheme)):
        ca = None if url == served.grpc_url else gateway.certificates.ca
        with Client(url, ca=ca, shared_memory=False) as client:
            maps.append(client.segment(served.segmenter, [file.getvalue()] * 4)[3].label_map)
    assert (maps[0] == maps[1]).all()


@schemes
def test_a_client_certificate(gateway: Gateway, served: Any, direct: Any, ask: Ask, scheme: str) -> None:
    url, files = gateway.url(scheme, "mutual"), gateway.certificates
    options = {"ca": files.ca, "certificate": files.certificate, "key": files.key}
    assert ask(url, served.classifier, **options) == direct
    assert ask(url, served.classifier, ca=str(files.ca), certificate=files.certificate_and_key) == direct
    with pytest.raises(ServerUnreachable, match=r"client('s)? certificate .*\(certificate, key\)"):
        ask(url, served.classifier, ca=files.ca)


@schemes
def test_keys_and_tokens(gateway: Gateway, served: Any, direct: Any, ask: Ask, scheme: str) -> None:
    url, ca = gateway.url(scheme, "keyed"), gateway.certificates.ca
    assert ask(url, served.classifier, ca=ca, api_key=API_KEY) == direct
    assert ask(url, served.classifier, ca=ca, token=TOKEN) == direct
    assert ask(url, served.classifier, ca=ca, headers={"X-API-Key": API_KEY}) == direct
    for wrong in ({}, {"api_key": "wrong"}, {"token": "wrong"}):
        with pytest.raises(InferenceError, match="failed.; give an API key or a token that") as caught:
            ask(url, served.classifier, ca=ca, **wrong)
        assert caught.value.code == "UNAUTHENTICATED"


@schemes
@pytest.mark.parametrize("trusted", ["other_ca", None])
def test_a_server_that_is_not_trusted(
    gateway: Gateway, served: Any, ask: Ask, scheme: str, trusted: str | None
) -> None:
    ca = trusted and getattr(gateway.certificates, trusted)
    with pytest.raises(ServerUnreachable, match=r"not trusted: unable to get local issuer.* \(ca\)"):
        ask(gateway.url(scheme), served.classifier, ca=ca)


@schemes
def test_another_hosts_certificate(gateway: Gateway, served: Any, ask: Ask, scheme: str) -> None:
    with pytest.raises(ServerUnreachable, match="not trusted: .*the host name that it was made for"):
        ask(gateway.url(scheme, "elsewhere"), served.classifier, ca=gateway.certificates.ca)


@schemes
def test_what_cannot_be_trusted_is_not_tried_again(gateway: Gateway, scheme: str) -> None:
    connection = connect(address_of(gateway.url(scheme)), Credentials(ca=gateway.certificates.other_ca))
    try:
        with pytest.raises(Fault) as caught:
            connection.ready(timeout=60)
    finally:
        connection.close()
    assert (caught.value.code, caught.value.answered) == ("FAILED_PRECONDITION", False)


@schemes
def test_no_encryption_where_it_is_wanted(gateway: Gateway, served: Any, ask: Ask, scheme: str) -> None:
    with pytest.raises(ServerUnreachable, match=rf"closed the connection .* whether it wants {scheme}://"):
        ask(gateway.url(scheme[:-1]), served.classifier)


@pytest.mark.parametrize(("scheme", "port"), [("https", "http_url"), ("grpcs", "grpc_url")])
def test_encryption_where_there_is_none(
    gateway: Gateway, served: Any, ask: Ask, scheme: str, port: str
) -> None:
    with pytest.raises(ServerUnreachable, match=f"{scheme[:-1]}://"):
        ask(f"{scheme}://{getattr(served, port)}", served.classifier, ca=gateway.certificates.ca)


def test_a_path_that_leads_nowhere(gateway: Gateway, served: Any, ask: Ask) -> None:
    url = f"https://127.0.0.1:{gateway.ports['open']}/elsewhere"
    with pytest.raises(InferenceError, match="404.*whether the address has the path that leads to Triton"):
        ask(url, served.classifier, ca=gateway.certificates.ca)


def test_a_redirect_is_not_followed(gateway: Gateway, served: Any, ask: Ask) -> None:
    url = f"https://127.0.0.1:{gateway.ports['open']}/moved"
    with pytest.raises(InferenceError, match=r"308 leads to https://triton.example.*; give that address"):
        ask(url, served.classifier, ca=gateway.certificates.ca)


@schemes
def test_predict(
    gateway: Gateway, served: Any, direct: Any, photo: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = gateway.certificates
    command = ["predict", served.classifier, str(photo), "--json", "--ca", str(files.ca)]

    def label(*options: str) -> Any:
        result = CliRunner().invoke(app, [*command, *options], catch_exceptions=False)
        return json.loads(result.stdout)[0]["label"]

    keyed = ("--url", gateway.url(scheme, "keyed"))
    mutual = ("--url", gateway.url(scheme, "mutual"))
    assert label(*mutual, "--certificate", str(files.certificate), "--key", str(files.key)) == direct.label
    assert label(*keyed, "--api-key", API_KEY) == direct.label
    monkeypatch.setenv("REGARD_TOKEN", TOKEN)
    assert label(*keyed) == direct.label
    monkeypatch.delenv("REGARD_TOKEN")
    monkeypatch.setenv("REGARD_API_KEY", API_KEY)
    monkeypatch.setenv("REGARD_URL", gateway.url(scheme, "keyed"))
    assert label() == direct.label


@schemes
def test_bench(gateway: Gateway, served: Any, photo: Path, scheme: str) -> None:
    options = Options(
        served.classifier,
        url=gateway.url(scheme, "keyed"),
        credentials=Credentials(ca=gateway.certificates.ca, api_key=API_KEY),
        images=photo.parent,
        concurrency=(2,),
        settings=Settings(duration=0.2, repeats=2),
    )
    report = bench(options)
    assert report.protocol == scheme[:-1]
    assert report.levels[0].requests > 0
    assert report.levels[0].errors == {}


def test_the_bench_command_takes_the_same_options(gateway: Gateway, served: Any, photo: Path) -> None:
    command = ["bench", served.classifier, "--url", gateway.url("https", "keyed"), "--api-key", "wrong"]
    options = ["--ca", str(gateway.certificates.ca), "--images", str(photo.parent), "--duration", "0.1"]
    with pytest.raises(InferenceError, match="UNAUTHENTICATED.*give an API key"):
        CliRunner().invoke(app, [*command, *options], catch_exceptions=False)
