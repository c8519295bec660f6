"""Results as entries, and their pictures as files of a folder."""

import hashlib
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from regard.contract.card import Card
from regard.contract.preprocess import Pixels
from regard.contract.results import Classification, Segmentation, Text, save_png
from regard.errors import InvalidInput, RegardError
from regard.serving.client.drawings import KINDS, drawings
from regard.serving.client.entries import Entry

LONGEST_STEM = 200  # bytes; a file's name has 255, and its draft's is longer by "._12345_overlay.png.draft"


def unique_names(files: Sequence[Path]) -> list[str]:
    """A name for each file: its stem, with _2, _3, ... where another file has that name already, in any
    letter case.
    """
    stems = [short(file.stem) for file in files]
    first_choices = {stem.lower() for stem in stems}
    taken: set[str] = set()
    names = []
    for stem in stems:
        name, number = stem, 1
        while name.lower() in taken or (number > 1 and name.lower() in first_choices):
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.lower())
        names.append(name)
    return names


def short(stem: str) -> str:
    """The stem; of one that leaves no room for what is added to it, the beginning and a digest of it all."""
    name = os.fsencode(stem)
    if len(name) <= LONGEST_STEM:
        return stem
    return f"{name[:LONGEST_STEM].decode(errors='ignore')}_{hashlib.sha256(name).hexdigest()[:12]}"


def make_folder(folder: Path) -> None:
    """Make the folder for the results.

    Raises:
        InvalidInput: it cannot be made or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"cannot make the folder {folder}: {error.strerror or error}. Choose another."
        ) from None


class Writer:
    """What makes an entry of a result, and the files of its pictures.

    Args:
        card: of the model that is asked.
        folder: for the files; None writes none. It is made.
        clear: classes that overlays leave as they are (`Segmentation.overlay`).

    Raises:
        InvalidInput: the folder cannot be made.
    """

    def __init__(self, card: Card, folder: Path | None, clear: Collection[str | int]) -> None:
        self.card, self.folder, self.clear = card, folder, clear
        if folder is not None:
            make_folder(folder)

    def check(self, names: Sequence[str], files: Sequence[Path]) -> None:
        """Refuse to write over what is read.

        Raises:
            InvalidInput: one of the pictures would be one of these files.
        """
        read = {os.path.realpath(file) for file in files}
        written = [path for name in names for path in self.targets(name).values()]
        lost = next((path for path in written if os.path.realpath(path) in read), None)
        if lost is not None:
            raise InvalidInput(f"{lost} is one of the images and would be overwritten; choose another folder")

    def targets(self, name: str) -> dict[str, Path]:
        """Where the pictures of one result go, by kind."""
        if self.folder is None:
            return {}
        return {kind: self.folder / f"{name}_{kind}.png" for kind in KINDS[self.card.task]}

    def entry(
        self,
        about: Path | str,
        result: Any,
        name: str,
        *,
        question: str | None = None,
        pixels: Callable[[], Pixels],
    ) -> Entry:
        """An entry of a result whose pictures are written.

        name: of its files, without their kind.
        pixels: of the image that was asked about.
        """
        if isinstance(result, RegardError):
            return Entry(about, result, {}, question)
        paths, written = self.targets(name), {}
        text = question if question is not None else about if isinstance(about, str) else None
        try:
            if paths:
                for kind, picture in drawings(result, self.card, pixels=pixels, text=text, clear=self.clear):
                    written[kind] = save_png(picture, paths[kind])
        except InvalidInput as error:
            return Entry(about, error, {}, question)
        return Entry(about, _kept(result), written, question)


def _kept(result: Any) -> Any:
    """Of a result, what does not fill the memory."""
    match result:
        case Segmentation():
            return result.area
        case Classification():
            return replace(result, heat=None)
        case Text():
            return replace(result, alignment=None)
        case _:
            return result
