"""NNCF, used so that it neither writes nor sends anything.

Left alone it reports each import and each call to its makers, by openvino_telemetry, and draws its progress
on stdout, where results go.
"""

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any

TELEMETRY = "openvino_telemetry"


@contextmanager
def quiet_nncf() -> Iterator[ModuleType]:
    """Yield the module `nncf`.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    nncf = _imported()
    from nncf.telemetry import decorator  # it sends an event for each call of `nncf.quantize`

    logger = logging.getLogger("nncf")
    level, telemetry = logger.level, decorator.telemetry
    logger.setLevel(logging.ERROR)
    decorator.telemetry = _Nobody()
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield nncf
    finally:
        logger.setLevel(level)
        decorator.telemetry = telemetry


def _imported() -> ModuleType:
    """NNCF; where this is its first import, it does not find what sends."""
    known = sys.modules.get(TELEMETRY)
    sys.modules[TELEMETRY] = None  # type: ignore[assignment] # Python's way to say that there is no such module
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import nncf
    finally:
        if known is None:
            del sys.modules[TELEMETRY]
        else:
            sys.modules[TELEMETRY] = known
    module: ModuleType = nncf
    return module


class _Nobody:
    """Takes events, and forgets them."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None
