"""The version of TensorRT is asked in another process."""

import sys

import pytest
from tests.serving.stand_ins import Programs

from regard.serving.machine.tensorrt import version_of


def test_there_broken_and_absent(modules: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    modules(tensorrt="__version__ = '10.5.0.18'", tensorrt_rtx="raise OSError('no library')")
    assert version_of("tensorrt") == ("10.5.0.18", None)
    assert version_of("tensorrt_rtx") == (None, "ended with code 1: OSError: no library")
    assert "tensorrt" not in sys.modules
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert version_of("tensorrt") == (None, None)
