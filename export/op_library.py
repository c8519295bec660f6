"""A library of operators beside a graph: kernels for nodes that are not ONNX's, which ONNX Runtime loads."""

import shutil
from pathlib import Path

from regard.contract.names import OPERATORS_FILE
from regard.errors import InvalidInput


def operators_beside(model: Path) -> Path | None:
    """The library of operators that lies beside a graph."""
    path = model.with_name(OPERATORS_FILE)
    return path if path.is_file() else None


def check_library(path: Path) -> None:
    """Refuse what ONNX Runtime cannot load here.

    Raises:
        InvalidInput: there is no such file.
        ExportError: it is no library of operators, or for another machine.
    """
    if not path.is_file():
        raise InvalidInput(f"there is no library of operators {path}; build it, or correct op_library")
    import onnxruntime  # an artifact is read without it

    from regard.export.session import register_operators

    register_operators(onnxruntime.SessionOptions(), path.resolve())


def put_library(path: Path, folder: Path) -> Path:
    """Copy a library to where sessions on the folder's graph find it."""
    return Path(shutil.copyfile(path, folder / OPERATORS_FILE))
