"""From what a request sends as it is, image files and texts, to the tensors that a network takes, one class
for each kind of input of a Card.

It is copied into each backend's folder, and runs inside the server's Python stub: it imports numpy and Pillow
only. Beside it lie regard's own preprocess.py and tokenizer.py, beside the graph the Card.
"""

import importlib.util
import io
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it
from PIL import Image

if TYPE_CHECKING:
    from regard.contract import preprocess
    from regard.contract.tokenizer import BadText, Tokenizer
    from regard.serving.triton.backends.request_checks import Array, Refused
else:  # inside the server they lie beside this file
    from request_checks import Refused
    from tokenizer import BadText, Tokenizer

    _spec = importlib.util.spec_from_file_location(
        "regard_preprocess", Path(__file__).with_name("preprocess.py")
    )
    preprocess = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(preprocess)

FITTING = ("resize", "height", "width", "interpolation", "crop", "channels")
Timed = Callable[[float, float], None]  # told the seconds that decoding and fitting an image took


def untimed(decode: float, fit: float) -> None:
    """Nobody asks."""


class RawInput(Protocol):
    """One input of a Card, as a request sends it."""

    tensor: str

    def of(self, request: Any) -> "Array":
        """The tensor of this name; raises Refused, which names what of the request is at fault."""
        ...

    def example(self) -> "Array":
        """The tensor of one small valid request."""
        ...


class RawInputs:
    """All inputs of the version that is being loaded.

    timed: told of each image.
    """

    def __init__(self, timed: Timed = untimed) -> None:
        card = card_of_version()
        self.inputs: list[RawInput] = [
            Text(contract) if contract["kind"] == "tokens" else PIXELS[contract["kind"]](contract, timed)
            for contract in card["inputs"]
        ]

    def of(self, request: Any) -> "dict[str, Array]":
        """A request's tensors by name. Raises Refused."""
        return {each.tensor: each.of(request) for each in self.inputs}

    def example(self) -> "dict[str, Array]":
        """Those of one small valid request."""
        return {each.tensor: each.example() for each in self.inputs}


class Pixels:
    """Image files (B, 1) to the pixels uint8 (B, height, width, channels) that a network takes.

    Args:
        contract: what the Card says of the input.
        timed: told what each image took.
    """

    tensor = "image"

    def __init__(self, contract: Mapping[str, Any], timed: Timed = untimed) -> None:
        self.contract, self.timed = contract, timed
        self.fitting = {name: contract[name] for name in FITTING}
        Image.init()  # else the first request pays for importing the codecs

    def of(self, request: Any) -> "Array":
        encoded = pb_utils.get_input_tensor_by_name(request, "encoded_image").as_numpy().reshape(-1)
        if not len(encoded):
            raise Refused("the request holds no images")
        pixels = []
        for index, image in enumerate(encoded):
            try:
                pixels.append(self.fitted(image))
            except preprocess.BadImage as error:
                raise Refused(f"image {index} of the request: {error}") from None
        sizes = sorted({array.shape[:2] for array in pixels})
        if len(sizes) > 1:
            shown = ", ".join(f"{height} x {width}" for height, width in sizes)
            raise Refused(
                f"the images of one request must share a size, got {shown} (height x width); send them in "
                "requests of their own"
            )
        return pixels[0][None] if len(pixels) == 1 else np.stack(pixels)

    def fitted(self, encoded: bytes) -> "Array":
        """One image, decoded and fitted to the input contract."""
        contract = self.contract
        begin = time.perf_counter()
        image = preprocess.decode_image(preprocess.file_in(encoded))
        decoded = time.perf_counter()
        pixels = preprocess.fit_image(image, **self.fitting)
        self.timed(decoded - begin, time.perf_counter() - decoded)
        height, width = pixels.shape[:2]
        smallest, largest = contract["min_size"], contract["max_size"]
        if contract["dynamic_size"] and not smallest <= min(height, width) <= max(height, width) <= largest:
            raise preprocess.BadImage(
                f"it is {height} x {width} (height x width), and the model takes {smallest} to {largest} on "
                "a side; resize it first"
            )
        return pixels

    def example(self) -> "Array":
        """A black image of the Card's size, by way of a file."""
        file = io.BytesIO()
        Image.new("RGB", (self.contract["width"], self.contract["height"])).save(file, "JPEG")
        return self.fitted(file.getvalue())[None]


class Frames(Pixels):
    """Image files (B, frames), the frames of a clip in their order, to uint8 (B, frames, height, width,
    channels).
    """

    tensor = "frames"

    def of(self, request: Any) -> "Array":
        pixels = super().of(request)
        return pixels.reshape(-1, self.contract["frames"], *pixels.shape[1:])

    def example(self) -> "Array":
        return np.stack([super().example()] * self.contract["frames"], axis=1)


class Text:
    """Texts in UTF-8 (B, 1) to the numbers of their words, int64 (B, words) or (B, sentences, words)."""

    def __init__(self, contract: Mapping[str, Any]) -> None:
        self.tensor: str = contract["name"]
        fields = {name: contract[name] for name in Tokenizer.__dataclass_fields__}
        self.tokenizer = Tokenizer(**{**fields, "vocabulary": tuple(contract["vocabulary"])})

    def of(self, request: Any) -> "Array":
        texts = pb_utils.get_input_tensor_by_name(request, self.tensor).as_numpy().reshape(-1)
        if not len(texts):
            raise Refused(f"input '{self.tensor}': the request holds no text")
        try:
            return self.tokenizer.batch([text.decode() for text in texts])
        except UnicodeDecodeError:
            raise Refused(f"input '{self.tensor}' is not UTF-8; encode the text so") from None
        except BadText as error:
            raise Refused(f"input '{self.tensor}': {error}") from None

    def example(self) -> "Array":
        """One word."""
        return np.full(
            (1,) * (2 if self.tokenizer.sentences is None else 3), len(self.tokenizer.vocabulary) - 1
        )


PIXELS = {"image": Pixels, "frames": Frames}


def card_of_version() -> Mapping[str, Any]:
    """The Card of the version that is being loaded, parsed."""
    card: Mapping[str, Any] = json.loads((Path(pb_utils.get_model_dir()) / "card.json").read_bytes())
    return card
