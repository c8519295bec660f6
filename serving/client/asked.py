"""What stands on a command line, as what a model is asked about: its Card says whether files or texts."""

import os
from collections.abc import Sequence
from pathlib import Path

from regard.contract.card import Card
from regard.contract.inputs import FramesInput, TokensInput
from regard.errors import InvalidInput
from regard.serving.client.images import files_of
from regard.serving.client.output import expand
from regard.serving.client.videos import in_order, is_video
from regard.serving.text_files import read_text


def asked_of(card: Card, given: Sequence[str]) -> list[Path | str]:
    """The files of a model of images, folders and patterns replaced by what they stand for; the clips of one
    of frames; the texts of one of texts, files replaced by what they hold: a text a line, or a whole story.

    Raises:
        InvalidInput: a folder without images, or a file that cannot be read.
    """
    first = card.inputs[0]
    if isinstance(first, FramesInput):
        return [Path(each) for each in given]
    if isinstance(first, TokensInput):
        story = first.sentences is not None
        return [text for each in given for text in _texts(each, story=story)]
    return [*expand([Path(each) for each in given])]


def videos_of(given: Sequence[str]) -> list[Path | list[Path]]:
    """The videos of a model that remembers: folders and animated files are one each; other files are
    together one, in the order given.

    Raises:
        InvalidInput: folders beside files of single frames.
    """
    paths = [Path(each) for each in given]
    videos = [path for path in paths if path.is_dir() or is_video(path)]
    if not videos:
        return [[file for path in paths for file in in_order(files_of(path))]]
    if len(videos) < len(paths):
        single = next(path for path in paths if path not in videos)
        raise InvalidInput(
            f"{single} is one frame, and {videos[0]} a whole video: name videos, or the frames of one"
        )
    return [*videos]


def _texts(given: str, *, story: bool) -> list[str]:
    if not os.path.isfile(given):  # noqa: PTH113 - Path's own fails on a text that is too long
        return [given]
    content = read_text(Path(given))
    return [content.strip()] if story else [line for line in content.splitlines() if line.strip()]
