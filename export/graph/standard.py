"""Which graphs runtimes other than ONNX Runtime can be given: those of ONNX's own operators alone."""

from onnx import ModelProto

from regard.errors import InvalidInput
from regard.export.graph.nodes import custom_operators


def check_standard(model: ModelProto, *, name: str, taker: str) -> None:
    """Refuse a graph with other operators than ONNX's, with or without bodies.

    Args:
        model: the graph.
        name: its file or folder, for messages.
        taker: what it is meant for, such as "TensorRT".

    Raises:
        InvalidInput: it holds some; names them.
    """
    if custom := custom_operators(model):
        raise InvalidInput(
            f"{name} holds {', '.join(custom)}, which ONNX Runtime alone runs, and {taker} cannot take; give "
            "the graph that has them written out: the artifact's own where this is its variant, or another "
            "export in the portable form"
        )
