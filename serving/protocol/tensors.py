"""Arrays to the bytes that travel, and back. Both protocols and shared memory carry the same bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tritonclient.utils import (
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

from regard.serving.protocol.wire import Array


def datatype_of(dtype: np.dtype[Any]) -> str | None:
    """Triton's name for a dtype, such as "UINT8"; None where it has none."""
    name: str | None = np_to_triton_dtype(dtype)
    return name


def dtype_of(datatype: str) -> np.dtype[Any]:
    """The dtype for a name of Triton's; BYTES are objects."""
    return np.dtype(triton_to_np_dtype(datatype))


def payload(array: Array) -> Array:
    """The tensor's bytes, uint8 (N,), as the server reads them: BYTES elements each behind their length."""
    if datatype_of(array.dtype) != "BYTES":
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return np.frombuffer(serialize_byte_tensor(array).item() if array.size else b"", dtype=np.uint8)


def array_from(content: bytes | memoryview, datatype: str, shape: Sequence[int]) -> Array:
    """The array that the bytes are; it may share them and be read-only."""
    if datatype == "BYTES":
        return np.asarray(deserialize_bytes_tensor(content)).reshape(shape)
    return np.frombuffer(content, dtype=dtype_of(datatype)).reshape(shape)
