"""The input of a model that others exported: an image batch, in the layout that the file says or shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, ValueInfoProto

from regard.contract.pixels_input import PixelsInput
from regard.errors import InvalidInput
from regard.export.proof.graph_runner import run_session
from regard.export.proof.runner import CannotRun
from regard.export.session import open_session

FLOATS: dict[int, type[np.floating[Any]]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.DOUBLE: np.float64,
}


@dataclass(frozen=True)
class GivenImage:
    """A model's input.

    Attributes:
        name: of the tensor (batch, channels, height, width), or (batch, height, width, channels) with
            `channels_last`.
        elem_type: a key of FLOATS.
        channels_last: the layout.
        batch, height, width: where they are fixed, None where any will do.
    """

    name: str
    elem_type: int
    channels_last: bool
    batch: int | None
    height: int | None
    width: int | None

    @property
    def rows(self) -> int:
        """The axis of the height; the width's is the next."""
        return 1 if self.channels_last else 2

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """The same type in numpy."""
        return FLOATS[self.elem_type]


def given_image(value: ValueInfoProto, path: Path, contract: PixelsInput) -> GivenImage:
    """What a model's input is.

    Args:
        value: the input.
        path: the model's file.
        contract: of its images.

    Raises:
        InvalidInput: it is no batch of such images, or of an unknown layout.
        ExportError: ONNX Runtime does not take the file, which is run to find the layout.
    """
    tensor = value.type.tensor_type
    dims = [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in tensor.shape.dim
    ]
    if tensor.elem_type not in FLOATS:
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise InvalidInput(
            f"{path} takes {value.name} of type {kind}; only floating-point images, normalized, can be fed "
            "to a model"
        )
    if len(dims) != 4:
        raise InvalidInput(f"{path} takes {value.name} of {len(dims)} dimensions; an image batch has four")
    channels = contract.channels
    layouts = [(dims[1], _image(value, dims, False)), (dims[3], _image(value, dims, True))]
    left = [image for dim, image in layouts if dim == channels]
    if not left:  # the file leaves the channels open
        left = [image for dim, image in layouts if dim is None and _takes_size(image, contract)]
    if len(left) == 2:
        left = [image for image in left if _runs(image, path, contract)]
    if len(left) != 1:
        shown = [dim or "any" for dim in dims]
        raise InvalidInput(
            f"{path} takes {value.name} {shown}: not clearly (batch, {channels}, height, width) or (batch, "
            f"height, width, {channels}); fix its channels at export, or correct the Card's"
        )
    return left[0]


def _image(value: ValueInfoProto, dims: list[int | None], channels_last: bool) -> GivenImage:
    height, width = (dims[1], dims[2]) if channels_last else (dims[2], dims[3])
    elem_type = value.type.tensor_type.elem_type
    return GivenImage(value.name, elem_type, channels_last, batch=dims[0], height=height, width=width)


def _takes_size(image: GivenImage, contract: PixelsInput) -> bool:
    return image.height in (None, contract.height) and image.width in (None, contract.width)


def _runs(image: GivenImage, path: Path, contract: PixelsInput) -> bool:
    """Whether the model takes a black image in this layout."""
    size = [image.height or contract.height, image.width or contract.width]
    shape = [*size, contract.channels] if image.channels_last else [contract.channels, *size]
    batch = np.zeros([image.batch or 1, *shape], image.dtype)
    try:
        run_session(open_session(str(path), name=str(path)), [], {image.name: batch})
    except CannotRun:
        return False
    return True
