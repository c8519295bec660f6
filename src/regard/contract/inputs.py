"""What goes into a network, one kind in a file: the tensor, its dimensions, and what is no batch of it."""

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from regard.contract.frames_input import FramesInput
from regard.contract.image_input import ImageInput
from regard.contract.tokens_input import TokensInput

__all__ = ["FramesInput", "ImageInput", "Input", "TokensInput"]


def _kind(fields: Any) -> Any:
    """An input without a kind is an image."""
    return fields.get("kind", "image") if isinstance(fields, dict) else getattr(fields, "kind", None)


Input = Annotated[
    Annotated[ImageInput, Tag("image")]
    | Annotated[FramesInput, Tag("frames")]
    | Annotated[TokensInput, Tag("tokens")],
    Discriminator(
        _kind,
        custom_error_type="unknown_kind",
        custom_error_message="an input's kind is 'image', 'frames' or 'tokens'",
    ),
]
