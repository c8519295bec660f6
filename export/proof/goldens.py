"""Making goldens: images that tell one kind of preprocessing from another, texts, and steps of a session,
answered by reference and graph.

landscape.jpg   larger than the network's input, so that it is resized: interpolation, antialiasing, crop
portrait.jpg    turned by its EXIF orientation, in draft mode at reach of a decoder that scales
grey.png        one channel
alpha.png       transparent in parts, laid over white
exact.jpg       of the network's own size, so that it is only decoded
narrow.png      far from square
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from regard.contract.answers.kind import Array
from regard.contract.card import Card
from regard.contract.goldens import (
    ANSWERS_FILE,
    REFERENCE_FILE,
    golden_inputs,
    write_answers,
    write_texts,
)
from regard.contract.inputs import FramesInput
from regard.contract.names import GOLDENS
from regard.contract.pixels_input import PixelsInput
from regard.contract.preprocess import Pixels, decode
from regard.export.proof.image_trials import moving
from regard.export.proof.rollouts import STEPS, in_steps, one_session
from regard.export.proof.runner import Arrays, Runner
from regard.export.proof.text_trials import DRAWN, Texts, texts_of

LARGER = 2.5  # times the input's side: an image that is resized
MOST = 640  # pixels of a side: goldens are small files
GRAIN = 24  # amplitude of the pattern that makes interpolations differ
EXIF_ORIENTATION, TURNED_RIGHT = 0x0112, 6


def write_goldens(
    folder: Path,
    card: Card,
    images: Sequence[Pixels],
    texts: Sequence[Texts],
    *,
    reference: Runner,
    candidate: Runner,
) -> None:
    """Make the folder of goldens in an artifact's folder.

    Args:
        folder: the artifact's.
        card: of both runners.
        images: to make the goldens from, of any size.
        texts: likewise, drawn where there are none.
        reference: gives what is right.
        candidate: the artifact's graph.
    """
    goldens = folder / GOLDENS
    goldens.mkdir()
    files = golden_files(images, card)
    names = [*files] or [f"text_{turn}" for turn in range(1, DRAWN + 1)]
    rows = texts_of(card, texts)
    of_frames = isinstance(card.pixels, FramesInput)
    asked: dict[str, dict[str, Array]] = {}
    for turn, name in enumerate(names):
        pictures = files.get(name, ())
        for place, picture in enumerate(pictures):
            path = goldens / name / f"{place:04}" if of_frames else goldens / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture)
        asked[name] = golden_inputs(pictures, rows[turn % len(rows)], card)
    if card.texts:
        write_texts(goldens, {name: {**rows[turn % len(rows)]} for turn, name in enumerate(names)})
    for file, runner in ((REFERENCE_FILE, reference), (ANSWERS_FILE, candidate)):
        write_answers(goldens / file, golden_answers(asked, card, runner))


def golden_answers(asked: Mapping[str, Arrays], card: Card, runner: Runner) -> dict[str, Array]:
    """A runner's answer to each golden, without a batch; those of a Card with state are steps of a session.

    asked: what the graph takes of each, as of `Golden.inputs`.
    """
    if card.state is None:
        return {name: runner.run(inputs)[card.answer.tensor][0] for name, inputs in asked.items()}
    steps = {
        name: np.concatenate([inputs[name] for inputs in asked.values()])
        for name in next(iter(asked.values()))
    }
    answers = in_steps(runner, card).run(one_session(steps))[card.answer.tensor]
    return dict(zip(asked, answers, strict=True))


def golden_files(images: Sequence[Pixels], card: Card) -> dict[str, tuple[bytes, ...]]:
    """The image files of each golden: one, its frames, or of a Card with state those of a film; none where
    texts alone are taken.
    """
    contract = card.pixels
    if contract is None:
        return {}
    if card.state is not None:
        film = moving(_at_size(images[0], (contract.height, contract.width)), STEPS)
        names = [f"step_{step}.{'png' if step % 2 else 'jpg'}" for step in range(1, STEPS + 1)]
        return {
            name: (_encoded(name, Image.fromarray(pixels)),) for name, pixels in zip(names, film, strict=True)
        }
    found = golden_images(images, contract)
    if not isinstance(contract, FramesInput):
        return {name: (encoded,) for name, encoded in found.items()}
    return {
        name: tuple(
            _encoded(name, Image.fromarray(frame)) for frame in moving(decode(encoded), contract.frames)
        )
        for name, encoded in found.items()
    }


def _at_size(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    return np.asarray(_grained(pixels, size, 0))


def golden_images(images: Sequence[Pixels], contract: PixelsInput) -> dict[str, bytes]:
    """The encoded images by name, made from real ones, within the sizes that the input takes."""
    height, width = contract.height, contract.width
    # an input of any size is not resized: there a larger image only takes longer
    larger = 1.25 if contract.dynamic_size else min(LARGER, MOST / max(height, width))
    sizes = {
        "landscape.jpg": (height * larger, height * larger * 1.5),
        "portrait.jpg": (width * larger * 0.8, width * larger * 1.2),  # as stored, before it is turned
        "grey.png": (height * 0.8, width * 0.9),
        "alpha.png": (height * 0.9, width * 0.7),
        "exact.jpg": (height, width),
        "narrow.png": (height * 0.5, width * 1.4),
    }
    return {
        name: _encoded(name, _grained(images[index % len(images)], _within(size, contract), index))
        for index, (name, size) in enumerate(sizes.items())
    }


def _within(size: tuple[float, float], contract: PixelsInput) -> tuple[int, int]:
    least, most = (contract.min_size, contract.max_size) if contract.dynamic_size else (1, MOST)
    height, width = (min(max(round(side), least), most) for side in size)
    return height, width


def _grained(pixels: Pixels, size: tuple[int, int], seed: int) -> Image.Image:
    """A real image of this size with a pattern on it that is as fine as its pixels."""
    height, width = size
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(seed).integers(-GRAIN, GRAIN + 1, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def _encoded(name: str, image: Image.Image) -> bytes:
    file = io.BytesIO()
    if name == "portrait.jpg":
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = TURNED_RIGHT
        image.save(file, "JPEG", quality=90, exif=exif)
    elif name.endswith(".jpg"):
        image.save(file, "JPEG", quality=90)
    elif name == "grey.png":
        image.convert("L").save(file, "PNG")
    elif name == "alpha.png":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(file, "PNG")
    else:
        image.save(file, "PNG")
    return file.getvalue()
