"""What the containers may do, as Docker has set them up."""

import pytest
from tests.stack.compose import Stack

pytestmark = pytest.mark.stack
SERVICES = ("keys", "triton-a", "triton-b", "gateway", "prometheus")
ADDED = (
    480 * 2**20
)  # bytes of the derived image beside the one that it is made from; the Dockerfile's budget is smaller


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_more_rights_than_it_needs(stack: Stack, service: str) -> None:
    found = stack.inspect(service)
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] > 0
    assert 0 < host["PidsLimit"] <= 2048
    assert found["Config"]["User"].split(":")[0] not in ("", "0", "root")


@pytest.mark.parametrize("service", ["triton-a", "triton-b", "gateway", "prometheus"])
def test_a_process_inside_has_no_rights_either(stack: Stack, service: str) -> None:
    shell = "busybox" if service == "prometheus" else None
    status = stack.compose("exec", "-T", service, *([shell] if shell else []), "cat", "/proc/1/status")
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(lines["CapEff"], 16) == int(lines["CapPrm"], 16) == 0
    assert lines["NoNewPrivs"] == "1"
    assert lines["Uid"].split()[0] != "0"


@pytest.mark.parametrize("service", ["triton-a", "triton-b"])
def test_the_server_can_write_neither_models_nor_keys(stack: Stack, service: str) -> None:
    mounts = {each["Destination"]: each for each in stack.inspect(service)["Mounts"]}
    assert not mounts["/models"]["RW"]
    assert not mounts["/deployment"]["RW"]
    assert not {"/keys", "/gateway-keys", "/client-keys", "/grafana-keys"} & mounts.keys()
    assert stack.start("exec", "-T", service, "touch", "/models/a").returncode != 0
    assert stack.start("exec", "-T", service, "touch", "/opt/a").returncode != 0
    assert stack.start("exec", "-T", service, "ls", "-A", "/deployment/client").stdout == ""


def test_the_servers_reach_nothing_outside(stack: Stack) -> None:
    """Their network has no way out; the gateway's and Prometheus' other one has."""
    for service in ("triton-a", "triton-b"):
        (network,) = stack.inspect(service)["NetworkSettings"]["Networks"].values()
        assert network["Gateway"] == "" or stack.network(network["NetworkID"])["Internal"]


def test_shared_memory_is_what_python_models_need(stack: Stack) -> None:
    assert stack.inspect("triton-a")["HostConfig"]["ShmSize"] >= 2**30


def test_the_image_keeps_to_its_budget(stack: Stack) -> None:
    (derived,) = [image for image in stack.images() if image.startswith("regard/tritonserver:")]
    base = f"nvcr.io/nvidia/{derived.removeprefix('regard/')}"
    sizes = [
        int(stack.engine.docker("image", "inspect", "--format", "{{.Size}}", tag)) for tag in (derived, base)
    ]
    assert 0 < sizes[0] - sizes[1] < ADDED
