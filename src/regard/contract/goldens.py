"""Goldens: a few small encoded images that tell kinds of preprocessing apart, or texts, and the answers to
them.

goldens/*.jpg, *.png       the images; where frames are taken, a folder of them for each golden
goldens/texts.json         the texts, by golden and input, where some are taken
goldens/reference.npz      the reference's answers, PyTorch's or the given model's, by the goldens' names
goldens/answers.npz        those of the artifact's own graph, in the process that exported it

Those of a model with state are the steps of one session, in the order of their names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from pydantic import TypeAdapter, ValidationError

from regard.contract.answers.kind import Array
from regard.contract.preprocess import BadImage, Pixels, decode
from regard.errors import InvalidInput

if TYPE_CHECKING:
    from regard.contract.card import Card

TEXTS = TypeAdapter(dict[str, dict[str, str]])
TEXTS_FILE = "texts.json"
REFERENCE_FILE = "reference.npz"
ANSWERS_FILE = "answers.npz"


@dataclass(frozen=True)
class Golden:
    """What is asked, and the answers to it, each without a batch in front.

    Attributes:
        images: the image file, those of the frames in order, or none.
        texts: by the input that each is for.
    """

    name: str
    images: tuple[bytes, ...]
    texts: Mapping[str, str]
    reference: Array
    answer: Array

    @property
    def encoded(self) -> bytes:
        """The image file, of a golden that has one."""
        (image,) = self.images
        return image

    @property
    def pixels(self) -> Pixels:
        """The decoded image, RGB (H, W, 3)."""
        return decode(self.encoded)

    def inputs(self, card: "Card") -> dict[str, Array]:
        """What the graph takes of it, by tensor, in a batch of one."""
        return golden_inputs(self.images, self.texts, card)


def golden_inputs(images: Sequence[bytes], texts: Mapping[str, str], card: "Card") -> dict[str, Array]:
    """What a graph takes of encoded images and texts, as of Golden, by tensor, in a batch of one."""
    inputs: dict[str, Array] = {}
    if card.pixels is not None:
        pixels = np.stack([card.pixels.decode_and_fit(image) for image in images])
        inputs[card.pixels.tensor] = pixels[None] if card.pixels.kind == "frames" else pixels
    return inputs | {each.tensor: each.tokenizer.batch([texts[each.tensor]]) for each in card.texts}


def read_goldens(folder: Path, *, answers: Path | None = None) -> tuple[Golden, ...]:
    """Read the goldens of a folder, in the order of their names.

    answers: a variant's, in place of those in the folder.

    Raises:
        InvalidInput: there are none, or an image or an answer cannot be read.
    """
    place = folder / ANSWERS_FILE if answers is None else answers
    references, found = _answers(folder / REFERENCE_FILE), _answers(place)
    texts = _texts(folder / TEXTS_FILE)
    goldens = []
    for name in sorted(references):
        if name not in found:
            raise InvalidInput(f"{place} lacks the answer to {name}; export the model again")
        try:
            images = _images(folder / name, but_texts=name in texts)
            for image in images:
                decode(image)
        except OSError as error:
            raise InvalidInput(
                f"cannot read the golden {folder / name}: {error.strerror}; export again"
            ) from None
        except BadImage as error:
            raise InvalidInput(
                f"the golden {folder / name} cannot be decoded: {error}; export the model again"
            ) from None
        goldens.append(Golden(name, images, texts.get(name, {}), references[name], found[name]))
    return tuple(goldens)


def _images(path: Path, *, but_texts: bool) -> tuple[bytes, ...]:
    """The files of a golden; there may be none of one that is texts."""
    if path.is_dir():
        return tuple(file.read_bytes() for file in sorted(path.iterdir()))
    if but_texts and not path.exists():
        return ()
    return (path.read_bytes(),)


def write_texts(folder: Path, texts: Mapping[str, Mapping[str, str]]) -> None:
    """Write the texts of goldens, by golden and input."""
    (folder / TEXTS_FILE).write_text(json.dumps(texts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _texts(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    try:
        return TEXTS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInput(
            f"the goldens' texts {path} are damaged ({error}); export the model again"
        ) from None


def write_answers(path: Path, answers: Mapping[str, Array]) -> None:
    """Write answers by the names of their goldens."""
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
