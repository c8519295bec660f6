"""The files of our backends in this process, as the server's stub imports them."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from regard.export.artifact import Artifact

BACKENDS = "regard.serving.triton.backends"

BESIDE = (  # each after those that it imports
    "request_checks",
    "regard_session",
    "session_state",
    "spoken_graph",
    "onnxruntime_providers",
    "onnxruntime_graph",
)


class Error(SimpleNamespace):
    CANCELLED, INVALID_ARG, INTERNAL = 1, 2, 3

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message=message, code=code)


@pytest.fixture
def in_stub(largest: Artifact, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """`in_stub("regard_session")`: the file, imported as inside the server, on the version's folder of
    `largest`.
    """
    server = ModuleType("triton_python_backend_utils")
    server.__dict__.update(
        get_model_dir=lambda: str(Path(largest.folder)),
        TritonError=Error,
        TritonModelException=RuntimeError,
        Tensor=lambda name, array: (name, array),
        InferenceResponse=lambda outputs=(), error=None: error or dict(outputs),
    )
    monkeypatch.setitem(sys.modules, server.__name__, server)
    settings = importlib.import_module("regard.contract.openvino_settings")
    monkeypatch.setitem(sys.modules, "openvino_settings", settings)
    tokenizer = importlib.import_module("regard.contract.tokenizer")
    monkeypatch.setitem(sys.modules, "tokenizer", tokenizer)
    for name in BESIDE:
        monkeypatch.setitem(sys.modules, name, importlib.import_module(f"{BACKENDS}.{name}"))
    yield lambda name: importlib.import_module(f"{BACKENDS}.{name}")
    for name in (*BESIDE, "openvino_graph"):
        sys.modules.pop(f"{BACKENDS}.{name}", None)
