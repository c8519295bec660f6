"""The GPUs that NVIDIA's driver gives to this process, and the newest CUDA that it runs.

As every probe it stands alone: opening regard would take longer than all that it asks.
"""

import ctypes
import json
import sys

NO_DEVICE = 100
COMPUTE_CAPABILITY = (75, 76)  # attributes of a device: major, minor

try:
    cuda = ctypes.CDLL("libcuda.so.1")
except OSError:
    print(json.dumps({"cuda": None, "gpus": []}))
    sys.exit()


def checked(code: int) -> None:
    """End with the driver's own name of an error."""
    if code:
        name = ctypes.c_char_p()
        cuda.cuGetErrorName(code, ctypes.byref(name))
        sys.exit(f"{(name.value or b'error').decode()} ({code})")


def number(function: str, *arguments: object) -> int:
    """What a function of the driver writes into its first argument."""
    value = ctypes.c_int()
    checked(getattr(cuda, function)(ctypes.byref(value), *arguments))
    return value.value


started = cuda.cuInit(0)
if started != NO_DEVICE:
    checked(started)
gpus = []
for index in range(0 if started == NO_DEVICE else number("cuDeviceGetCount")):
    device = number("cuDeviceGet", index)
    name, memory = ctypes.create_string_buffer(128), ctypes.c_size_t()
    checked(cuda.cuDeviceGetName(name, len(name), device))
    checked(cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device))
    major, minor = (number("cuDeviceGetAttribute", attribute, device) for attribute in COMPUTE_CAPABILITY)
    gpus.append(
        {"name": name.value.decode(), "compute_capability": f"{major}.{minor}", "memory": memory.value}
    )
version = number("cuDriverGetVersion")
print(json.dumps({"cuda": f"{version // 1000}.{version % 1000 // 10}", "gpus": gpus}))
