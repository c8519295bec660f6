"""What an engine can be built for, and what cannot be built for here."""

import subprocess
import sys

import pytest

from regard.errors import InvalidInput
from regard.export.tensorrt import here
from regard.export.tensorrt.cuda import Gpu
from regard.export.tensorrt.here import check_here
from regard.export.tensorrt.target import RTX_CAPABILITIES, Target, target_of

NONE_OF_NVIDIA: dict[str, str] = {}


def test_targets() -> None:
    assert target_of("rtx:8.6,8.9,12.0") == Target("rtx:8.6,8.9,12.0", "tensorrt_rtx", ("8.6", "8.9", "12.0"))
    assert target_of("rtx:8.6, 8.6").compute_capabilities == ("8.6",)
    assert target_of("local") == Target("local", "tensorrt")
    assert target_of("triton:24.10") == Target("triton:24.10", "tensorrt", release="24.10")


@pytest.mark.parametrize("capability", ["7.0", "8.7", "9.0", "10.0", "10.3", "11.0", "86", "sm_86", ""])
def test_what_rtx_does_not_build_for(capability: str) -> None:
    with pytest.raises(InvalidInput, match=r"compute capability '.*builds for 7\.5, 8\.0, 8\.6, 8\.9, 12\.0"):
        target_of(f"rtx:8.6,{capability}")


@pytest.mark.parametrize("text", ["", "rtx", "rtx8.6", "gpu", "LOCAL", "local:8.6", "triton", "cuda:0"])
def test_no_target(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"no target .*8\.9, 12\.0, 12\.1\), local, or triton: and a rel"):
        target_of(text)


@pytest.mark.parametrize("release", ["", "latest", "24.10-py3", "2.51.0", "24.1"])
def test_no_release(release: str) -> None:
    with pytest.raises(InvalidInput, match=r"a year and a month, as in 24\.10; got"):
        target_of(f"triton:{release}")


def test_what_the_library_builds_for_is_what_is_said() -> None:
    """In another process: this one stays without the library."""
    code = "import tensorrt_rtx as trt; print(*trt.ComputeCapability.__members__)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    said = {"SM" + capability.replace(".", "") for capability in RTX_CAPABILITIES}
    assert said == set(names.split()) - {"NONE", "CURRENT"}


def test_rtx_needs_nothing_of_here() -> None:
    check_here(target_of("rtx:8.6"), NONE_OF_NVIDIA)


def test_local_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "gpu_here", lambda: None)
    monkeypatch.setattr(here.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InvalidInput, match="no NVIDIA GPU with its driver and no Python package tensorrt and"
    ):
        check_here(target_of("local"), NONE_OF_NVIDIA)
    monkeypatch.setattr(here, "gpu_here", lambda: Gpu("a GPU", "8.6"))
    with pytest.raises(InvalidInput, match="here is no Python package tensorrt"):
        check_here(target_of("local"), NONE_OF_NVIDIA)


@pytest.mark.parametrize("variable", ["NVIDIA_TRITON_SERVER_VERSION", "NVIDIA_TENSORRT_VERSION"])
def test_a_release_is_built_in_its_container(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setattr(here, "gpu_here", lambda: Gpu("a GPU", "8.6"))
    monkeypatch.setattr(here.importlib.util, "find_spec", lambda name: object())
    target = target_of("triton:24.10")
    check_here(target, {variable: "24.10"})
    with pytest.raises(
        InvalidInput, match=r"this is the container of 24\.09.*docker run.*tensorrt:24\.10-py3"
    ):
        check_here(target, {variable: "24.09"})
    with pytest.raises(InvalidInput, match=r"this is no container of NVIDIA's"):
        check_here(target, NONE_OF_NVIDIA)
