"""Each backend's files stand alone in the server's folder."""

import ast
import sys

import pytest
from tests.test_rooms import imported_by

from regard.serving.triton.backends.files import FILES, HERE

RUNTIMES = ("onnxruntime", "openvino")
MAY_IMPORT = {*sys.stdlib_module_names, "numpy", "PIL", *RUNTIMES, "triton_python_backend_utils"}


def test_every_backend_is_listed() -> None:
    assert set(FILES) == {path.parent.name for path in HERE.glob("*/model.py")}


@pytest.mark.parametrize("backend", FILES)
def test_a_backend_imports_what_lies_beside_it_and_little_else(backend: str) -> None:
    beside = {file.stem for file in FILES[backend]}
    assert "model" in beside
    for file in FILES[backend]:
        imported = {module.partition(".")[0] for module, _ in imported_by(ast.parse(file.read_text()))}
        assert imported <= MAY_IMPORT | beside, file
