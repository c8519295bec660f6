"""What importing the client loads: no library that the call at hand does not need."""

import json
import subprocess
import sys

import pytest

TRANSPORTS = {"aiohttp", "grpc", "google.protobuf", "http.client"}
NEVER = {
    "gevent",
    "geventhttpclient",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "tritonclient.http",
    "torch",
    "rich",
}


@pytest.mark.parametrize(
    ("program", "transports"),
    [
        ("from regard import AsyncClient, Client", set()),
        ("from regard import Client; Client(protocol='http')", {"http.client"}),
        ("from regard import Client; Client()", {"google.protobuf", "grpc"}),
    ],
)
def test_only_what_is_needed_is_loaded(program: str, transports: set[str]) -> None:
    report = f"; import json, sys; print(json.dumps(sorted({TRANSPORTS | NEVER} & sys.modules.keys())))"
    done = subprocess.run(
        [sys.executable, "-c", program + report], capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) == transports
