"""Triton's reasons, in short."""

import pytest

from regard.serving.triton.loader import in_short

FAILED = "load failed for model 'a':"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            f"{FAILED} version 3 is at UNAVAILABLE state: Internal: TritonModelException: onnx runtime "
            "error 7: no graph\n\nAt:\n  /tmp/model.py(77): initialize\n;\n",
            "onnx runtime error 7: no graph",
        ),
        (
            f"{FAILED} version 3 is at UNAVAILABLE state: Internal: ValueError: x\n\nAt:\n  m\n;"
            "version 2 is at UNAVAILABLE state: Internal: ValueError: y\n\nAt:\n  m\n;\n",
            "version 3: ValueError: x; version 2: ValueError: y",
        ),
        (
            f"{FAILED} ensemble a contains models that are not available or ambiguous: b\n",
            "ensemble a contains models that are not available or ambiguous: b",
        ),
        (
            f"{FAILED} version 1 is at UNAVAILABLE state: Internal: Stub process 'a_0_0' is not healthy.;\n",
            "its process ended while it was loaded: it crashed, or was killed for want of memory",
        ),
        ("something else", "something else"),
    ],
)
def test_reasons(message: str, reason: str) -> None:
    assert in_short(message) == reason
