"""The kernels that PyTorch runs for our operators on an NVIDIA GPU, in OpenAI Triton's language."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from regard.export.ops.criss_cross.operator import CRISS_CROSS
from regard.export.ops.local_attention.operator import LOCAL_ATTENTION
from regard.export.ops.operator import Operator

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
LEAST = (8, 0)  # has TF32 and bfloat16


@cache
def use_gpu_kernels() -> tuple[Operator, ...]:
    """Register the kernels for CUDA tensors of DTYPES in this process, and name the operators that have one
    now: none without `triton`, or without a GPU of compute capability LEAST or more.
    """
    if find_spec("triton") is None or not torch.cuda.is_available():
        return ()
    if torch.cuda.get_device_capability() < LEAST:
        return ()
    from regard.export.ops.criss_cross.gpu import criss_cross
    from regard.export.ops.local_attention.gpu import local_attention

    def aggregate(values: Tensor, weights: Tensor, window: int) -> Tensor:
        return local_attention(values, weights)  # whose shapes say the window

    kernels: dict[Operator, Callable[..., Tensor]] = {LOCAL_ATTENTION: aggregate, CRISS_CROSS: criss_cross}
    for operator, kernel in kernels.items():
        operator.torch_op.register_kernel("cuda", _where_it_fits(kernel, operator))
    return tuple(kernels)


def _where_it_fits(kernel: Callable[..., Tensor], operator: Operator) -> Callable[..., Tensor]:
    """The kernel for the types it takes, the operator's own function for others."""

    def compute(*args: object, **options: object) -> Tensor:
        first = args[0]
        fits = isinstance(first, Tensor) and first.dtype in DTYPES
        return kernel(*args, **options) if fits else operator.function(*args, **options)

    return compute
