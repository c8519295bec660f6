"""`regard up`, `doctor` and `down` on the stack, and plain `docker compose`; the last test takes it down."""

import subprocess
from urllib.request import urlopen

import numpy as np
import pytest
from tests.serving.conftest import CLASSES
from tests.stack.compose import Stack
from tests.stack.gateway import GatewayKeys
from tests.stack.models import ARITHMETIC, TRAINED

from regard import Client
from regard.serving.repository.releases import RELEASE

pytestmark = pytest.mark.stack


def test_up_again_changes_nothing_and_tells_a_line_that_works(whole: Stack, keys: GatewayKeys) -> None:
    containers = {service: whole.container(service) for service in whole.services()}
    key = keys.client
    finished = whole.start_regard("up")
    assert finished.returncode == 0, finished
    for told in ("https://localhost:8443", "grpcs://localhost:8443", TRAINED, "127.0.0.1:9090", RELEASE):
        assert told in finished.stdout
    assert "warning: " in finished.stderr  # faults are published of this release
    assert RELEASE in finished.stderr
    assert {service: whole.container(service) for service in whole.services()} == containers
    assert keys.client == key
    (line,) = (line for line in finished.stdout.splitlines() if line.startswith("try: "))
    tried = subprocess.run(
        ["sh", "-c", line.removeprefix("try: ")],
        cwd=whole.folder,
        env=whole.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert tried.returncode == 0, tried


def test_doctor_says_how_the_stack_is(whole: Stack, keys: GatewayKeys) -> None:
    finished = whole.start_regard(
        *(
            "doctor",
            "--url",
            "https://localhost:8443",
            "--ca",
            str(keys.ca),
            "--api-key",
            keys.client,
            "--json",
        )
    )
    assert finished.returncode == 0, finished
    assert TRAINED in finished.stdout


def test_down_removes_the_containers_and_keeps_the_keys(whole: Stack) -> None:
    whole.regard("down")
    assert whole.services() == []
    assert "regard_client-keys" in whole.engine.docker("volume", "ls", "--quiet").split()


def test_plain_compose_with_the_overlay_for_development(whole: Stack) -> None:
    """No TLS and no keys, on loopback, where regard's commands look by themselves."""
    developed = Stack(whole.engine, whole.folder, whole.variables, ("docker-compose.dev.yml",))
    developed.compose("up", "--wait", "--no-build")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for protocol in ("http", "grpc"):
        with Client(protocol=protocol, timeout=60) as client:
            (result,) = client.segment(ARITHMETIC, [pixels])
            np.testing.assert_array_equal(result.label_map, pixels.max(2) % CLASSES)
    with urlopen("http://127.0.0.1:8000/v2/health/ready", timeout=30) as answer:
        assert answer.status == 200
    bound = {
        outside["HostIp"]
        for service in developed.services()
        for ports in developed.inspect(service)["NetworkSettings"]["Ports"].values()
        for outside in ports or []
    }
    assert bound == {"127.0.0.1"}
    whole.regard("down", "--volumes")
    assert whole.engine.docker("volume", "ls", "--quiet").split() == []
