"""What is asked of the GPU's driver, by a stand-in for it."""

import ctypes
from typing import Any

import numpy as np
import pytest

from regard.errors import ExportError
from regard.export.tensorrt.cuda import MAJOR, Cuda, Gpu, gpu_of


class Driver:
    """One GPU whose memory is this process's; `broken` functions return the code 2.

    Attributes:
        allocated: addresses of memory that is not free again.
    """

    def __init__(self, *broken: str) -> None:
        self.broken = broken
        self.allocated: dict[int, Any] = {}

    def __getattr__(self, function: str) -> Any:
        if not function.startswith("cu"):
            raise AttributeError(function)
        if function in self.broken:
            return lambda *arguments: 2
        return getattr(self, f"_{function}", lambda *arguments: 0)

    def _cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = b"A GPU"
        return 0

    def _cuDeviceGetAttribute(self, number: Any, attribute: int, device: Any) -> int:
        number._obj.value = 8 if attribute == MAJOR else 6
        return 0

    def _cuStreamCreate(self, stream: Any, flags: int) -> int:
        stream._obj.value = 1234
        return 0

    def _cuMemAlloc_v2(self, address: Any, size: Any) -> int:
        memory = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(memory)
        self.allocated[address._obj.value] = memory
        return 0

    def _cuMemFree_v2(self, address: Any) -> int:
        del self.allocated[address.value]
        return 0

    def _cuMemcpyHtoD_v2(self, to: Any, source: Any, size: Any) -> int:
        ctypes.memmove(to.value, source, size.value)
        return 0

    def _cuMemcpyDtoH_v2(self, to: Any, source: Any, size: Any) -> int:
        ctypes.memmove(to, source.value, size.value)
        return 0

    def _cuGetErrorName(self, code: int, text: Any) -> int:
        text._obj.value = b"CUDA_ERROR_OUT_OF_MEMORY"
        return 0


def test_the_gpu() -> None:
    assert gpu_of(Driver()) == Gpu("A GPU", "8.6")
    for function in ("cuInit", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute"):
        assert gpu_of(Driver(function)) is None


def test_memory_goes_and_comes_back() -> None:
    driver = Driver()
    cuda = Cuda(driver)
    assert cuda.stream == 1234
    sent = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 0, 1)  # not in C order
    with cuda.memory(sent.nbytes) as address:
        cuda.to_gpu(sent, address)
        back = np.empty(sent.shape, np.uint8)
        cuda.from_gpu(address, back)
    assert np.array_equal(back, sent)
    assert driver.allocated == {}
    with cuda.memory(0) as address:  # an empty batch has an address too
        assert address


def test_what_the_driver_refuses_is_told_by_its_name() -> None:
    with pytest.raises(ExportError, match="driver says CUDA_ERROR_OUT_OF_MEMORY to cuDevicePrimaryCtxRetain"):
        Cuda(Driver("cuDevicePrimaryCtxRetain"))
    with (
        pytest.raises(ExportError, match="OUT_OF_MEMORY to cuMemAlloc_v2"),
        Cuda(Driver("cuMemAlloc_v2")).memory(1),
    ):
        pass
