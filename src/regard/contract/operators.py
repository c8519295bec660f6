"""The library of operators that are not ONNX's, beside the graph that holds them."""

from pathlib import Path

from regard.contract.names import OPERATORS_FILE


def operators_beside(model: Path) -> Path | None:
    """The library of operators that lies beside a graph."""
    path = model.with_name(OPERATORS_FILE)
    return path if path.is_file() else None
