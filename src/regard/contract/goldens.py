"""Goldens: a few small encoded images that tell kinds of preprocessing apart, and the answers to them.

goldens/*.jpg, *.png       the images
goldens/reference.npz      the reference's answers, PyTorch's or the given model's, by the images' names
goldens/answers.npz        those of the artifact's own graph, in the process that exported it
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from regard.contract.answers.kind import Array
from regard.contract.preprocess import BadImage, Pixels, decode
from regard.errors import InvalidInput

REFERENCE_FILE = "reference.npz"
ANSWERS_FILE = "answers.npz"


@dataclass(frozen=True)
class Golden:
    """One image file, and the answers to it, each without a batch in front."""

    name: str
    encoded: bytes
    reference: Array
    answer: Array

    @property
    def pixels(self) -> Pixels:
        """The decoded image, RGB (H, W, 3)."""
        return decode(self.encoded)


def read_goldens(folder: Path, *, answers: Path | None = None) -> tuple[Golden, ...]:
    """Read the goldens of a folder, in the order of their names.

    answers: a variant's, in place of those in the folder.

    Raises:
        InvalidInput: there are none, or an image or an answer cannot be read.
    """
    place = folder / ANSWERS_FILE if answers is None else answers
    references, found = _answers(folder / REFERENCE_FILE), _answers(place)
    goldens = []
    for name in sorted(references):
        if name not in found:
            raise InvalidInput(f"{place} lacks the answer to {name}; export the model again")
        try:
            encoded = (folder / name).read_bytes()
            decode(encoded)
        except OSError as error:
            raise InvalidInput(
                f"cannot read the golden {folder / name}: {error.strerror}; export again"
            ) from None
        except BadImage as error:
            raise InvalidInput(
                f"the golden {folder / name} cannot be decoded: {error}; export the model again"
            ) from None
        goldens.append(Golden(name, encoded, references[name], found[name]))
    return tuple(goldens)


def write_answers(path: Path, answers: Mapping[str, Array]) -> None:
    """Write answers by the names of their images."""
    with path.open("wb") as file:
        np.savez_compressed(file, **answers)


def _answers(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InvalidInput(
            f"cannot read the goldens' answers {path}: {error.strerror or error}; export the model again"
        ) from None
    except (ValueError, BadZipFile, KeyError) as error:
        raise InvalidInput(
            f"the goldens' answers {path} are damaged ({error}); export the model again"
        ) from None
