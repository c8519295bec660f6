"""A library of operators beside a graph: kernels for nodes that are not ONNX's, which ONNX Runtime loads."""

import shutil
from pathlib import Path

import onnxruntime

from regard.contract.names import OPERATORS_FILE
from regard.errors import InvalidInput
from regard.export.session import register_operators


def check_library(path: Path) -> None:
    """Refuse what ONNX Runtime cannot load here.

    Raises:
        InvalidInput: there is no such file.
        ExportError: it is no library of operators, or for another machine.
    """
    if not path.is_file():
        raise InvalidInput(f"there is no library of operators {path}; build it, or correct op_library")
    register_operators(onnxruntime.SessionOptions(), path.resolve())


def put_library(path: Path, folder: Path) -> Path:
    """Copy a library to where sessions on the folder's graph find it."""
    return Path(shutil.copyfile(path, folder / OPERATORS_FILE))
