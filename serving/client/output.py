"""Predictions of image files, written to a folder: one bad file is an entry with its error and stops
nothing.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from regard.contract.image_files import read_pixels
from regard.contract.names import Task
from regard.contract.results import Classification, Segmentation, save_png
from regard.errors import InvalidInput, RegardError
from regard.serving.client.images import files_of
from regard.serving.client.sync import Client

KINDS = {"classification": ("heat",), "segmentation": ("mask", "overlay")}  # of files, by the model's task
LONGEST_STEM = 200  # bytes; a file's name has 255, and its draft's is longer by "._12345_overlay.png.draft"


@dataclass(frozen=True)
class Entry:
    """What became of one file.

    result: of a segmentation the area of each label, as the maps of many large images would fill the memory.
    written: the files made from it, by kind ("mask", "overlay", "heat").
    """

    image: Path
    result: Classification | dict[str, float] | RegardError
    written: dict[str, Path]

    @property
    def failed(self) -> bool:
        """Whether there is an error instead of a result."""
        return isinstance(self.result, RegardError)

    def to_json(self) -> dict[str, Any]:
        """The entry in JSON's types."""
        facts: dict[str, Any] = {"image": str(self.image)}
        if isinstance(self.result, Classification):
            top = [{"label": label, "probability": probability} for label, probability in self.result.top]
            facts |= {"label": self.result.label, "probability": self.result.probability}
            facts |= {"labels": list(self.result.labels), "top": top}
        elif isinstance(self.result, dict):
            facts |= {"area": {label: fraction for label, fraction in self.result.items() if fraction}}
        else:
            facts |= {"error": str(self.result)}
        return facts | {kind: str(path) for kind, path in self.written.items()}


def expand(images: Sequence[Path]) -> list[Path]:
    """The files named, directories and patterns replaced by what they stand for; see `files_of`.

    Raises:
        InvalidInput: a directory without images.
    """
    return [file for image in images for file in files_of(image)]


def unique_names(files: Sequence[Path]) -> list[str]:
    """A name for each file: its stem, with _2, _3, ... where another file has that name already, in any
    letter case.
    """
    stems = [_short(file.stem) for file in files]
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


def _short(stem: str) -> str:
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


def targets(folder: Path, name: str, task: Task) -> dict[str, Path]:
    """Where the files that are made from an image go, by kind."""
    return {kind: folder / f"{name}_{kind}.png" for kind in KINDS[task]}


def predict_files(
    client: Client,
    model: str,
    files: Sequence[Path],
    *,
    top_k: int,
    out: Path | None,
    threshold: float | None = None,
    clear: Collection[str | int] = (),
) -> Iterator[Entry]:
    """Predict files in their order, one entry each.

    out: the folder for masks and overlays of segmentations, and for the heat maps of a classifier that
        explains itself.
    threshold: of every label, in place of the Card's, where labels apply together.
    clear: classes that overlays leave as they are (`Segmentation.overlay`).

    Raises:
        RegardError: what concerns every file: no server, no such model, a threshold for one that has none, a
            folder that cannot be made.
    """
    task = client.card(model).task
    if threshold is not None and task == "segmentation":
        raise InvalidInput(
            f"a threshold is for labels of whole images; that of {model!r}, a segmenter, is in its graph: "
            "export it again with another"
        )
    paths: list[dict[str, Path]] = [{} for _ in files]
    if out is not None:
        paths = [targets(out, name, task) for name in unique_names(files)]
        make_folder(out)
        _check_targets(paths, files)
    if task == "classification":
        classifications = client.classify(
            model, iter(files), top_k=top_k, threshold=threshold, heat=out is not None, on_error="return"
        )
        yield from map(_classified, files, classifications, paths)
        return
    segmentations = client.segment(model, iter(files), on_error="return")
    for file, segmentation, written in zip(files, segmentations, paths, strict=True):
        yield _segmented(file, segmentation, written, clear)


def _check_targets(paths: Sequence[dict[str, Path]], files: Sequence[Path]) -> None:
    inputs = {os.path.realpath(file) for file in files}
    lost = [path for written in paths for path in written.values() if os.path.realpath(path) in inputs]
    if lost:
        raise InvalidInput(f"{lost[0]} is one of the images and would be overwritten; choose another folder")


def _classified(file: Path, result: Classification | RegardError, paths: dict[str, Path]) -> Entry:
    if isinstance(result, RegardError) or result.heat is None:
        return Entry(file, result, {})
    try:
        save_png(result.heat.overlay(read_pixels(file)), paths["heat"])
    except InvalidInput as error:
        return Entry(file, error, {})
    return Entry(file, replace(result, heat=None), paths)


def _segmented(
    file: Path, result: Segmentation | RegardError, paths: dict[str, Path], clear: Collection[str | int]
) -> Entry:
    if isinstance(result, RegardError):
        return Entry(file, result, {})
    try:
        if paths:
            result.save(paths["mask"])
            save_png(result.overlay(read_pixels(file), clear=clear), paths["overlay"])
    except InvalidInput as error:
        return Entry(file, error, {})
    return Entry(file, result.area, paths)
