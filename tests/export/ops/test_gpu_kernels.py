"""The GPU kernels as far as a machine without a GPU can try them: interpreted, registered, and compiled."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from regard.export.ops.gpu_kernels import use_gpu_kernels

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton's language is not installed"
)
BOUNDS = {"float32": 5e-6, "float16": 5e-4, "bfloat16": 5e-3}  # the interpreter cuts bfloat16 off
REGISTERED = """
import torch
torch.cuda.is_available = lambda: True
torch.cuda.get_device_capability = lambda: {capability}
from regard.export.ops import LOCAL_ATTENTION
from regard.export.ops.gpu_kernels import use_gpu_kernels
print([operator.name for operator in use_gpu_kernels()], use_gpu_kernels() is use_gpu_kernels())
print(torch._C._dispatch_has_kernel_for_dispatch_key("regard::local_attention", "CUDA"))
print(LOCAL_ATTENTION(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 9, 1, 1), 3).item())
"""


@pytest.fixture(scope="module")
def errors() -> dict[str, list[float]]:
    script = Path(__file__).with_name("interpreted.py")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    ran = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize(
    "kernel",
    [
        *("local_attention float32", "local_attention float16", "local_attention bfloat16"),
        *("criss_cross float32", "criss_cross float16"),
    ],
)
def test_interpreted_kernels_compute_their_operators(errors, kernel):
    assert all(error <= BOUNDS[kernel.split()[1]] for error in errors[kernel])


def test_shapes_that_do_not_fit_are_an_error_before_a_kernel_reads_elsewhere():
    from regard.export.ops.criss_cross.gpu import criss_cross
    from regard.export.ops.local_attention.gpu import local_attention

    values, weights = torch.zeros(1, 4, 6, 7), torch.zeros(1, 2, 9, 4, 5)
    for wrong in (values[..., 1:], values[..., 1:, :], values[:, 1:]):
        with pytest.raises(ValueError, match="values must be .*, got"):
            local_attention(wrong, weights)
    q, v = torch.zeros(1, 2, 4, 5), torch.zeros(1, 3, 4, 5)
    for wrong in ((q, q[..., 1:], v), (q, q, v[..., 1:]), (q, q[:, 1:], v)):
        with pytest.raises(ValueError, match="q and k must be .*, got"):
            criss_cross(*wrong)


def test_without_a_gpu_no_kernel_is_registered():
    assert use_gpu_kernels() == ()


def test_with_a_gpu_they_are_registered_once_and_the_cpu_keeps_its_own():
    assert registered((8, 0)) == ["['LocalAttention', 'CrissCross'] True", "True", "9.0"]


def test_a_gpu_without_the_instructions_gets_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert use_gpu_kernels.__wrapped__() == ()


def registered(capability: tuple[int, int]) -> list[str]:
    """What a new process prints that believes in such a GPU: registration is for the process's life."""
    code = REGISTERED.format(capability=capability)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


LOCAL = {
    "GROUPS": 8,
    "SHARE": 8,
    "HEIGHT": 97,
    "WIDTH": 97,
    "SIDE": 7,
    "ROWS": 4,
    "CHANNELS": 8,
    "LANES": 128,
}
CROSS = {"DEPTH": 64, "CHANNELS": 512, "COUNT": 97, "LENGTH": 97, "TILE_DEPTH": 64}


@pytest.mark.slow
@pytest.mark.parametrize(("capability", "dtype"), [(80, "fp32"), (90, "bf16")])
def test_local_attention_compiles_and_reads_each_weight_once(capability, dtype, tmp_path, monkeypatch):
    from regard.export.ops.local_attention.gpu import local_attention_kernel

    ptx = compiled(local_attention_kernel, LOCAL, dtype, capability, 4, 1, tmp_path, monkeypatch)
    rows, side, channels = (LOCAL[name] for name in ("ROWS", "SIDE", "CHANNELS"))
    # in the loop over a footprint's columns: the values of a column, and the weights of the column
    assert ptx.count("ld.global") == (rows + side - 1) * channels + rows * side
    assert "ld.shared" not in ptx
    assert "ld.local" not in ptx


@pytest.mark.slow
@pytest.mark.parametrize(("capability", "dtype", "second"), [(80, "fp32", False), (90, "bf16", True)])
def test_criss_cross_compiles_to_matrix_instructions(capability, dtype, second, tmp_path, monkeypatch):
    from regard.export.ops.criss_cross.gpu import attend_kernel, own_tile

    tile = own_tile({"fp32": torch.float32, "bf16": torch.bfloat16}[dtype])
    constants = CROSS | {"APART": 97 if second else 1, "STEP": 1 if second else 97, "SECOND": second}
    constants |= {f"TILE_{name.upper()}": size for name, size in tile._asdict().items()}
    ptx = compiled(
        attend_kernel, constants, dtype, capability, tile.warps, tile.stages, tmp_path, monkeypatch
    )
    assert ("wgmma" if capability == 90 else "mma.sync") in ptx


def compiled(kernel, constants, dtype, capability, warps, stages, folder, monkeypatch) -> str:
    """The PTX of a kernel whose tensors have this type; it went on to machine code as well."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setattr(triton.knobs.cache, "dir", str(folder))
    constants = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature = dict.fromkeys(kernel.arg_names, f"*{dtype}") | {"column_log": "*fp32"}
    signature = {name: kind for name, kind in signature.items() if name in kernel.arg_names}
    signature |= dict.fromkeys(constants, "constexpr")
    built = triton.compile(
        ASTSource(kernel, signature, constants),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": warps, "num_stages": stages, "enable_fp_fusion": True},
    )
    assert built.asm["cubin"]
    return built.asm["ptx"]
