"""Who may ask the gateway for what."""

import base64
import hmac
import json
import socket
import ssl
import time
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.serving.deploy.asking import INFER, MODEL_INFER, Answer, Headers, ask, call
from tests.serving.deploy.conftest import Guarded

from regard.serving.deploy.keys.signing_key import kept_key, new_key

SERVICE = "/inference.GRPCInferenceService"
REFUSED = [
    "no key",
    "an empty key",
    "another key",
    "a key twice",
    "both keys at once",
    "a key in capitals",
    "a key and a blank",
    "a key in the address",
    "a key as token",
    "a key as password",
    "the name alone",
    "the name by the token's header",
    "an empty token",
    "a token of another scheme",
    "a token in small letters",
    "a token in the address",
    "a token past its time",
    "a token before its time",
    "a token without an end",
    "a token by another issuer",
    "a token by nobody",
    "a token by another key",
    "a token by the public key as a password",
    "a token changed afterwards",
]


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    all_of_them = {"iss": "regard", "aud": "regard", "sub": "alice", "exp": now + 60, **changes}
    return {name: value for name, value in all_of_them.items() if value is not None}


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def by_password(password: bytes) -> list[tuple[str, str]]:
    """A token signed by HMAC, which libraries refuse to make of a public key."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims())]
    text = ".".join(map(encoded, parts))
    signature = encoded(hmac.new(password, text.encode(), "sha256").digest())
    return [("authorization", f"Bearer {text}.{signature}")]


def refused(case: str, guarded: Guarded) -> tuple[str, Headers]:
    """The query and headers of a request that must not be answered."""
    gateway = guarded.gateway
    key, other = gateway.api_key, gateway.operator_key
    signer = kept_key(gateway.keys.token_key)
    public = signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    good = gateway.token("alice")
    now = int(time.time())

    def signed(by: Any = signer, algorithm: str = "ES256", **changes: Any) -> list[tuple[str, str]]:
        text = jwt.encode(claims(**changes), by, algorithm=algorithm)
        return [("authorization", f"Bearer {text}")]

    head, _, signature = good.split(".")
    changed = encoded(json.dumps(claims(sub="operator")).encode())
    cases: dict[str, tuple[str, Headers]] = {
        "no key": ("", []),
        "an empty key": ("", [("x-api-key", "")]),
        "another key": ("", [("x-api-key", "k" * 43)]),
        "a key twice": ("", [("x-api-key", key), ("x-api-key", key)]),
        "both keys at once": ("", [("x-api-key", f"{key},{other}")]),
        "a key in capitals": ("", [("x-api-key", key.swapcase())]),
        "a key and a blank": ("", [("x-api-key", f"{key} {key}")]),
        "a key in the address": (f"?x-api-key={key}&api_key={key}", []),
        "a key as token": ("", [("authorization", f"Bearer {key}")]),
        "a key as password": ("", [("authorization", "Basic " + base64.b64encode(key.encode()).decode())]),
        "the name alone": ("", [("x-regard-client", "operator")]),
        "the name by the token's header": ("", [("x-regard-subject", "operator")]),
        "an empty token": ("", [("authorization", "Bearer ")]),
        "a token of another scheme": ("", [("authorization", f"Token {good}")]),
        "a token in small letters": ("", [("authorization", f"bearer {good}")]),
        "a token in the address": (f"?access_token={good}", []),
        "a token past its time": ("", signed(exp=now - 10)),
        "a token before its time": ("", signed(nbf=now + 60)),
        "a token without an end": ("", signed(exp=None)),
        "a token by another issuer": ("", signed(iss="somebody")),
        "a token by nobody": ("", signed(None, "none")),
        "a token by another key": ("", signed(new_key())),
        "a token by the public key as a password": ("", by_password(public)),
        "a token changed afterwards": ("", [("authorization", f"Bearer {head}.{changed}.{signature}")]),
    }
    assert list(cases) == REFUSED
    return cases[case]


@pytest.mark.parametrize("case", REFUSED)
def test_who_proves_nothing_is_not_answered(case: str, guarded: Guarded) -> None:
    query, headers = refused(case, guarded)
    before = len(guarded.a.reached)
    answer = ask(guarded.gateway, INFER + query, headers, method="POST", body=b"{}")
    assert answer.status == 401, answer
    assert "x-api-key" in answer.body
    code, details, _ = call(guarded.gateway, MODEL_INFER, headers)
    assert code is grpc.StatusCode.UNAUTHENTICATED, details
    assert "x-api-key" in details
    assert len(guarded.a.reached) == before


def test_a_token_for_somebody_else_is_none_of_ours(guarded: Guarded) -> None:
    elsewhere = jwt.encode(claims(aud="other"), kept_key(guarded.gateway.keys.token_key), algorithm="ES256")
    headers = [("authorization", f"Bearer {elsewhere}")]
    assert ask(guarded.gateway, "/v2", headers).status == 403
    assert call(guarded.gateway, MODEL_INFER, headers)[0] is grpc.StatusCode.PERMISSION_DENIED


def test_a_key_or_a_token_names_its_caller(guarded: Guarded) -> None:
    gateway = guarded.gateway
    expired = jwt.encode(claims(exp=1), kept_key(gateway.keys.token_key), algorithm="ES256")
    ways: list[tuple[str, Headers]] = [
        ("client", [("x-api-key", gateway.api_key)]),
        ("operator", [("X-API-Key", f"  {gateway.operator_key}  ")]),  # HTTP takes off the blanks
        ("alice", [("authorization", f"Bearer {gateway.token('alice')}")]),
        ("client", [("x-api-key", gateway.api_key), ("authorization", f"Bearer {gateway.token('alice')}")]),
        ("client", [("x-api-key", gateway.api_key), ("authorization", f"Bearer {expired}")]),
        ("alice", [("x-api-key", "wrong"), ("authorization", f"Bearer {gateway.token('alice')}")]),
        ("client", [("x-api-key", gateway.api_key), ("x-regard-client", "operator")]),
        ("client", [("x-api-key", gateway.api_key), ("x-regard-subject", "operator")]),
    ]
    for name, headers in ways:
        assert ask(gateway, INFER, headers, method="POST", body=b"{}").status == 200, headers
        lower = [(header.lower(), value.strip()) for header, value in headers]
        assert call(gateway, MODEL_INFER, lower)[0] is grpc.StatusCode.OK, headers
        for reached in guarded.a.reached[-2:]:
            assert reached.headers["x-regard-client"] == name
            secrets = {"x-api-key", "authorization", "x-regard-subject"}
            assert not secrets & reached.headers.keys(), "the servers need no secrets"


def test_inference_metadata_and_health_are_reachable(guarded: Guarded) -> None:
    model = "/v2/models/a-model_1.0"
    pages = ["/v2", "/v2/health/live", "/v2/health/ready"]
    pages += [at + page for at in (model, f"{model}/versions/12") for page in ("", "/ready", "/config")]
    for page in pages:
        assert ask(guarded.gateway, page, guarded.by_key).status == 200, page
        assert guarded.a.reached[-1].path == page
    for at in (model, f"{model}/versions/12"):
        assert ask(guarded.gateway, f"{at}/infer", guarded.by_key, method="POST", body=b"{}").status == 200
    for name in ("ModelInfer", "ServerLive", "ServerReady", "ModelReady"):
        assert call(guarded.gateway, f"{SERVICE}/{name}", guarded.by_key)[0] is grpc.StatusCode.OK, name
    for name in ("ServerMetadata", "ModelMetadata", "ModelConfig"):
        assert call(guarded.gateway, f"{SERVICE}/{name}", guarded.by_key)[0] is grpc.StatusCode.OK, name


def test_nothing_else_is_even_for_the_operator(guarded: Guarded) -> None:
    targets = [
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/m/load"),
        ("POST", "/v2/repository/models/m/unload"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("POST", "/v2/systemsharedmemory/region/r/register"),
        ("POST", "/v2/cudasharedmemory/region/r/register"),
        ("POST", "/v2/systemsharedmemory/unregister"),
        ("GET", "/v2/trace/setting"),
        ("POST", "/v2/models/m/trace/setting"),
        ("GET", "/v2/logging"),
        ("POST", "/v2/logging"),
        ("POST", "/v2/models/m/generate"),
        ("POST", "/v2/models/m/generate_stream"),
        ("GET", "/metrics"),
        ("GET", "/stats/prometheus"),
        ("GET", "/"),
        ("GET", "/regard/status"),  # of which colour?
        ("GET", INFER),
        ("PUT", INFER),
        ("DELETE", "/v2/models/m"),
        ("POST", "/v2/models/m"),
        ("HEAD", "/v2"),
    ]
    before = len(guarded.a.reached)
    for method, target in targets:
        for colour in ((), (("regard-colour", "a"),)):
            if target == "/regard/status" and colour:
                continue
            answer = ask(guarded.gateway, target, [*guarded.by_operator, *colour], method=method)
            assert answer.status == 404, (method, target, answer)
    others = ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload", "ModelStreamInfer")
    memory = ("Status", "Register", "Unregister")
    others += tuple(f"{kind}SharedMemory{verb}" for kind in ("System", "Cuda") for verb in memory)
    for name in (*others, "TraceSetting", "LogSettings", "modelinfer", "ModelInfer/"):
        code, _, _ = call(guarded.gateway, f"{SERVICE}/{name}", guarded.by_operator)
        assert code is grpc.StatusCode.UNIMPLEMENTED, name
    for method_name in (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/other/ModelInfer",
    ):
        assert call(guarded.gateway, method_name, guarded.by_operator)[0] is grpc.StatusCode.UNIMPLEMENTED
    assert len(guarded.a.reached) == before


def test_tricks_with_the_path_lead_nowhere_else(guarded: Guarded) -> None:
    tricks = [
        "/v2/models/m/infer/../../../repository/index",
        "/v2/models/../repository/index",
        "/v2/models/m/%2e%2e/%2e%2e/repository/index",
        "/v2/models/m%2finfer",
        "/v2/models/m%2Finfer",
        "/v2/models/m%5cinfer",
        "/v2/models/m/..%2frepository/index",
        "/v2/models/m;x=1/infer",
        "/v2/models/m/infer;x=1",
        "/v2/models/m/infer/",
        "/V2/models/m/infer",
        "/v2/models/m/INFER",
        "/v2/repository//index",
        "//v2/repository/index",
        "/v2/./repository/index",
        "/v2/models/m/infer%00",
        "/v2/models/%6d%2f..%2f/infer",
        "/v2/models/m%0a/infer",
        "/v2/models/../../models/m/infer/../../../logging",
        "https://localhost/v2/repository/index",
        "http://triton-a:8000/v2/logging",
        "/inference.GRPCInferenceService/RepositoryIndex",
        "*",
    ]
    before = len(guarded.a.reached)
    for target in tricks:
        answer = ask(guarded.gateway, target, guarded.by_operator, method="POST", body=b"{}")
        assert answer.status in (307, 400, 404), (target, answer)
    assert len(guarded.a.reached) == before
    for target in ("//v2///models/m/infer", "/v2/x/../models/m/infer", "https://localhost/v2/models/m/infer"):
        assert ask(guarded.gateway, target, guarded.by_key, method="POST", body=b"{}").status == 200, target
        assert guarded.a.reached[-1].path == INFER, "as it was compared, so it goes on"


@pytest.mark.parametrize(
    ("method", "target", "status"), [("CONNECT", "localhost:443", 403), ("OPTIONS", "*", 404)]
)
def test_what_has_no_path_and_so_is_asked_for_no_token_goes_nowhere(
    method: str, target: str, status: int, guarded: Guarded
) -> None:
    before = len(guarded.a.reached)
    for headers in ([], [("x-regard-client", "operator")], [("x-regard-subject", "operator")]):
        assert ask(guarded.gateway, target, headers, method=method).status == status, headers
    assert len(guarded.a.reached) == before


def test_headers_cannot_smuggle(guarded: Guarded) -> None:
    before = len(guarded.a.reached)
    for headers in (
        [("transfer-encoding", "chunked"), ("content-length", "4")],
        [("transfer-encoding", "chunked, identity")],
        [("content-length", "4"), ("content-length", "5")],
        [("regard_colour", "b")],
    ):
        answer = ask(guarded.gateway, "/v2", [*guarded.by_key, *headers])
        assert answer.status in (0, 400, 501), (headers, answer)
    assert len(guarded.a.reached) == before


def test_what_steers_envoy_is_not_the_callers(guarded: Guarded) -> None:
    steering = [
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-original-path", "/x"),
    ]
    assert ask(guarded.gateway, "/v2", [*guarded.by_key, *steering]).status == 200
    assert not [name for name in guarded.a.reached[-1].headers if name.startswith("x-envoy-")]


def test_statistics_and_colours_are_the_operators(guarded: Guarded) -> None:
    gateway = guarded.gateway
    alice = [("authorization", f"Bearer {gateway.token('alice')}")]
    boss = [("authorization", f"Bearer {gateway.token('operator')}")]
    pages = ["/v2/models/stats", "/v2/models/m/stats", "/v2/models/m/versions/1/stats"]
    colour = ("regard-colour", "b")
    before = len(guarded.b.reached)
    for headers in (guarded.by_key, alice):
        for page in pages:
            assert ask(gateway, page, headers).status == 403, page
        assert call(gateway, f"{SERVICE}/ModelStatistics", headers)[0] is grpc.StatusCode.PERMISSION_DENIED
        for value in ("a", "b", "c", ""):
            answer = ask(gateway, INFER, [*headers, ("regard-colour", value)], method="POST", body=b"{}")
            assert answer.status == 403, value
        assert call(gateway, MODEL_INFER, [*headers, colour])[0] is grpc.StatusCode.PERMISSION_DENIED
        assert ask(gateway, "/regard/status", [*headers, colour]).status == 403
    assert len(guarded.b.reached) == before
    for headers in (guarded.by_operator, boss):
        for page in pages:
            assert _from(ask(gateway, page, headers)) == "a"
            assert _from(ask(gateway, page, [*headers, colour])) == "b"
        for name in ("ModelStatistics", "ModelInfer"):
            code, _, metadata = call(gateway, f"{SERVICE}/{name}", [*headers, colour])
            assert (code, metadata["regard-colour"]) == (grpc.StatusCode.OK, "b")
        assert _from(ask(gateway, INFER, [*headers, colour], method="POST", body=b"{}")) == "b"
        status = ask(gateway, "/regard/status", [*headers, colour])
        assert (_from(status), json.loads(status.body)) == ("b", {"path": "/status"})
        assert (
            ask(gateway, INFER, [*headers, ("regard-colour", "c")], method="POST", body=b"{}").status == 404
        )


def test_its_own_health_needs_no_key(guarded: Guarded) -> None:
    assert ask(guarded.gateway, "/healthz").status == 200
    assert ask(guarded.gateway, "/healthz/../v2").status == 401


def test_no_plain_text_and_no_old_tls(guarded: Guarded) -> None:
    with socket.create_connection(("127.0.0.1", guarded.gateway.port), timeout=10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert plain.recv(100)[:4] != b"HTTP"
    old = ssl.create_default_context(cafile=guarded.gateway.ca)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", guarded.gateway.port), timeout=10) as plain,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        old.wrap_socket(plain, server_hostname="localhost")


def _from(answer: Answer) -> str:
    assert answer.status == 200, answer
    return answer.headers["regard-colour"]
