"""The version of ONNX's operators."""

from onnx import ModelProto, version_converter

from regard.errors import InvalidInput
from regard.export.graph.nodes import nodes_of

OPSET = 20  # what ONNX Runtime, OpenVINO and TensorRT of today all take
GRID_MODES = {b"bilinear": b"linear", b"bicubic": b"cubic"}  # GridSample's before opset 20, and since
OLDEST_OPSET = 15  # Shape of a part of the dimensions


def opset_of(model: ModelProto) -> int:
    """The version of the standard operators that a model imports; 0 for none."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def rename_grid_modes(model: ModelProto) -> None:
    """Call the modes of GridSample what opset 20 calls them, in branches and loops too: PyTorch's exporter
    converts what it writes from opset 18 in the outermost graph alone.
    """
    for node in nodes_of(model):
        if node.op_type == "GridSample":
            for attribute in node.attribute:
                if attribute.name == "mode":
                    attribute.s = GRID_MODES.get(attribute.s, attribute.s)


def at_opset(model: ModelProto, *, name: str) -> tuple[ModelProto, str]:
    """The model in OPSET where it is older and ONNX can convert it, and a note about it.

    Args:
        model: of any opset, without functions of its own.
        name: its file, for messages.

    Raises:
        InvalidInput: it is older than OLDEST_OPSET and cannot be converted.
    """
    opset = opset_of(model)
    if opset >= OPSET:
        return model, f"opset {opset} is kept"
    try:
        converted = version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter is C++, and raises RuntimeError and others
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if opset < OLDEST_OPSET:
            raise InvalidInput(
                f"{name} is of opset {opset}, and ONNX cannot convert it to {OPSET}: {reason}. Export it "
                "again."
            ) from None
        return model, f"opset {opset} is kept: it cannot be converted to {OPSET} ({reason})"
    return converted, f"converted from opset {opset} to {OPSET}"
