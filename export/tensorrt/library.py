"""TensorRT or TensorRT-RTX, imported when it is used: neither belongs to a start-up, and without a driver
some of their calls end the process.
"""

import importlib
from types import ModuleType
from typing import Any

from regard.contract.plan import Library
from regard.errors import ExportError

NAMES: dict[Library, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
INSTALLS: dict[Library, str] = {
    "tensorrt": "pip install 'regard[gpu]', or use NVIDIA's TensorRT container",
    "tensorrt_rtx": "pip install 'regard[rtx]'",
}


def imported(library: Library) -> ModuleType:
    """The module.

    Raises:
        ExportError: it is not installed, or not whole.
    """
    try:
        return importlib.import_module(library)
    except Exception as error:  # bindings without their libraries fail in many ways
        raise ExportError(
            f"{NAMES[library]} cannot be used here ({type(error).__name__}: {error}); {INSTALLS[library]}"
        ) from None


def named(trt: ModuleType) -> str:
    """A library and its version, for the record."""
    return f"{NAMES[trt.__name__]} {trt.__version__}"  # type: ignore[index]


def listener_of(trt: ModuleType) -> Any:
    """A logger of the library that keeps its errors, and the message that lists the layers of an engine.

    Attributes:
        errors: in their order.
        layer_lists: likewise.
    """

    class Listener(trt.ILogger):  # type: ignore[misc,name-defined] # known when it runs
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.layer_lists: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message.strip())
            elif message.startswith("Layers:"):
                self.layer_lists.append(message)

    return Listener()
