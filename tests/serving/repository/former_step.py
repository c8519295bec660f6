"""The server-side step from encoded images to pixels: JPEG, PNG or WebP bytes in, uint8 (B, height, width, 3)
out.

`regard repo add` copies this file into `<name>_preprocess/1`, beside the Card and regard's own preprocess.py.
It runs inside the server's Python stub and needs only numpy and Pillow.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it
from PIL import Image

_HERE = Path(__file__).parent


class TritonPythonModel:
    """One instance; the server runs as many as the machine has cores."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Read the Card's input contract and load the codecs."""
        self.contract: dict[str, Any] = json.loads((_HERE / "card.json").read_bytes())["input"]
        spec = importlib.util.spec_from_file_location("regard_preprocess", _HERE / "preprocess.py")
        assert spec is not None
        assert spec.loader is not None
        self.preprocess = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.preprocess)
        Image.init()  # else the first request pays for importing the codecs

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request on its own: a bad image fails no other request."""
        return [self.respond(request) for request in requests]

    def respond(self, request: Any) -> Any:
        """Pixels for one request; INVALID_ARG names the image at fault."""
        if request.is_cancelled():
            return failed("the request was cancelled", pb_utils.TritonError.CANCELLED)
        encoded = pb_utils.get_input_tensor_by_name(request, "encoded_image").as_numpy().reshape(-1)
        pixels = []
        for index, image in enumerate(encoded):
            try:
                pixels.append(self.pixels(image))
            except self.preprocess.BadImage as error:
                return failed(f"image {index} of the request: {error}", pb_utils.TritonError.INVALID_ARG)
        sizes = sorted({array.shape[:2] for array in pixels})
        if len(sizes) > 1:
            shown = ", ".join(f"{height} x {width}" for height, width in sizes)
            return failed(
                f"the images of one request must share a size, got {shown} (height x width); send them in "
                "requests of their own",
                pb_utils.TritonError.INVALID_ARG,
            )
        batch = pixels[0][None] if len(pixels) == 1 else np.stack(pixels)
        return pb_utils.InferenceResponse([pb_utils.Tensor("image", np.ascontiguousarray(batch))])

    def pixels(self, encoded: bytes) -> Any:
        """Decode one image and fit it to the input contract."""
        contract = self.contract
        pixels = self.preprocess.decode(encoded)
        height, width = pixels.shape[:2]
        smallest, largest = contract["min_size"], contract["max_size"]
        if contract["dynamic_size"] and not smallest <= min(height, width) <= max(height, width) <= largest:
            raise self.preprocess.BadImage(
                f"it is {height} x {width} (height x width), and the model takes {smallest} to {largest} on "
                "a side; resize it first"
            )
        return self.preprocess.fit(
            pixels,
            resize=contract["resize"],
            height=contract["height"],
            width=contract["width"],
            interpolation=contract["interpolation"],
            crop=contract["crop"],
        )


def failed(message: str, code: int) -> Any:
    """A response that is an error."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
