"""Whether a network stays finite inside: from activations that are NaN no range can be taken."""

from collections.abc import Callable, Iterable

import numpy as np
from onnx import ModelProto

from regard.contract.names import IMAGE
from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput
from regard.export.precision.layers import constants_of, weight_of
from regard.export.proof.graph_runner import run_session, session_with


def check_finite(
    model: ModelProto, images: Iterable[tuple[str, Pixels]], *, advance: Callable[[], None] = lambda: None
) -> None:
    """Run images through a graph, and look at what each layer with weights gives.

    images: name and pixels of each, (height, width, channels).
    advance: called after each.

    Raises:
        InvalidInput: a layer gives NaN or infinity; names it, and the image.
    """
    constants = constants_of(model)
    layers = {node.output[0]: weight_of(node, constants) for node in model.graph.node}
    layers = {output: weight for output, weight in layers.items() if weight}
    session = session_with(model, layers)
    for name, pixels in images:
        for weight, values in zip(
            layers.values(), run_session(session, layers, {IMAGE: pixels[None]}), strict=True
        ):
            if not np.isfinite(values).all():
                raise InvalidInput(
                    f"the layer of {weight} gives NaN or infinity for the image {name}, so that no range can "
                    "be taken; mend the weights, or leave that image out"
                )
        advance()
