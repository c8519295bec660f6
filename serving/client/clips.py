"""Whatever a user calls a clip, as the frames that a model takes at once."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from regard.contract.inputs import FramesInput
from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput
from regard.serving.client.images import ImageLike, decoded, items
from regard.serving.client.items import Clip, Raw, Refused
from regard.serving.client.videos import frames_of, is_video

# a folder of frames or a video file, frames, or their pixels (T, H, W, 3) or grey (T, H, W)
ClipLike: TypeAlias = str | os.PathLike[str] | Sequence[ImageLike] | npt.NDArray[np.uint8]


def is_one(value: object) -> bool:
    """Whether a value is one clip: several are a list of clips."""
    if isinstance(value, (str, os.PathLike)):
        return True
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return bool(value) and not _is_whole(value[0])
    return _is_whole(value)


def entries(value: object, kind: FramesInput) -> Iterator[Clip | Refused]:
    """Each clip in order.

    Raises:
        InvalidInput: neither a clip nor several.
    """
    if is_one(value):
        yield _clip(value, "the clip", kind)
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        for index, clip in enumerate(value):
            yield _clip(clip, f"clips[{index}]", kind)
    else:
        raise InvalidInput(
            "a clip is a folder, an animated file, a sequence of images, or an array (T, H, W, 3), got "
            + type(value).__name__
        )


def _is_whole(value: object) -> bool:
    """Whether a value without a look at its neighbours is a clip, and no frame."""
    if isinstance(value, np.ndarray):
        return value.ndim == 4
    if isinstance(value, (str, os.PathLike)):
        return Path(value).is_dir() or is_video(Path(value))
    return isinstance(value, Sequence) and not isinstance(value, bytes)


def _clip(value: object, where: str, kind: FramesInput) -> Clip | Refused:
    try:
        frames = _frames(value, where)
        if len(frames) != kind.frames:
            raise InvalidInput(
                f"{where} has {len(frames)} frames, and the model takes {kind.frames} at once: cut it so"
            )
        sizes = sorted({frame.shape[:2] for frame in frames})
        if len(sizes) > 1:
            raise InvalidInput(f"{where}: its frames differ in size, {sizes[0]} and {sizes[-1]} pixels")
    except InvalidInput as error:
        return Refused(where, error)
    return Clip(where, tuple(frames))


def _frames(value: object, where: str) -> list[Pixels]:
    if isinstance(value, (str, os.PathLike)):
        where, value = os.fspath(value), list(frames_of(Path(value)))
    frames = []
    for item in items(list(value) if isinstance(value, np.ndarray) else value):  # type: ignore[arg-type]
        frame = decoded(item)
        if not isinstance(frame, Raw):
            assert isinstance(frame, Refused)
            raise InvalidInput(f"{where}: {frame.error}")
        frames.append(frame.pixels)
    return frames
