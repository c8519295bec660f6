"""The GPU that this process computes on, by its driver: what it is, its memory, and a stream. No other
package is needed for that. What only looks for GPUs asks other processes (serving/machine/gpus.py).
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.errors import ExportError

DRIVER = "libcuda.so.1"
NAME_BYTES = 256
MAJOR, MINOR = 75, 76  # <cuda.h>: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Gpu:
    """A GPU. compute_capability: as in 8.6."""

    name: str
    compute_capability: str


def driver_here() -> Any | None:
    """The driver's library; None where there is none."""
    try:
        return ctypes.CDLL(DRIVER)
    except OSError:
        return None


def gpu_here() -> Gpu | None:
    """The first GPU that this process sees; None where there is no driver or no GPU."""
    driver = driver_here()
    return None if driver is None else gpu_of(driver)


def gpu_of(driver: Any) -> Gpu | None:
    """The first GPU of a driver; None where it has none."""
    device = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        return None
    name = ctypes.create_string_buffer(NAME_BYTES)
    numbers = [ctypes.c_int(), ctypes.c_int()]
    failed = driver.cuDeviceGetName(name, NAME_BYTES, device)
    for number, attribute in zip(numbers, (MAJOR, MINOR), strict=True):
        failed = failed or driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
    if failed:
        return None
    return Gpu(name.value.decode(errors="replace"), ".".join(str(number.value) for number in numbers))


class Cuda:
    """The first GPU's primary context, which TensorRT uses as well, and a stream in it.

    Args:
        driver: its library.

    Raises:
        ExportError: a call of the driver fails; so do all others here.
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        device, context, stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        self._call("cuStreamCreate", ctypes.byref(stream), 0)
        self.stream = stream.value or 0

    @contextmanager
    def memory(self, size: int) -> Iterator[int]:
        """The address of so many bytes on the GPU, free again afterwards."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        try:
            yield address.value
        finally:
            self._call("cuMemFree_v2", address)

    def to_gpu(self, array: Array, address: int) -> None:
        """Copy an array, in C order, to the GPU."""
        array = np.ascontiguousarray(array)
        self._call(
            "cuMemcpyHtoD_v2",
            ctypes.c_uint64(address),
            array.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(array.nbytes),
        )

    def from_gpu(self, address: int, array: Array) -> None:
        """Fill an array, in C order, from the GPU."""
        self._call(
            "cuMemcpyDtoH_v2",
            array.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(address),
            ctypes.c_size_t(array.nbytes),
        )

    def synchronize(self) -> None:
        """Wait until the stream has done what it was given."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(self.stream))

    def _call(self, function: str, *arguments: Any) -> None:
        if code := getattr(self._driver, function)(*arguments):
            text = ctypes.c_char_p()
            self._driver.cuGetErrorName(code, ctypes.byref(text))
            raise ExportError(f"the GPU's driver says {(text.value or b'nothing').decode()} to {function}")
