"""Labelled images in memory, read from three layouts.

idx            train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-..., t10k-labels-...
               (MNIST and its kin)
class_folders  {train,val}/<label>/*.{jpg,png,webp,...}
mask_folders   {train,val}/images/*.{jpg,png,webp,...} and {train,val}/labels/<same stem>.png, 8-bit class
               numbers of the upright image
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.contract.image_files import images_in, read_pixels
from regard.contract.preprocess import INTERPOLATIONS, Pixels, orientation, turned
from regard.errors import InvalidInput
from regard.models.training.recipe import Recipe

Split = Literal["train", "val"]


@dataclass(frozen=True)
class LabelledImages:
    """images: uint8 (N, H, W, 3). targets: int64 classes (N,), or uint8 label maps (N, H, W)."""

    images: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.images)


def load(recipe: Recipe, root: Path, split: Split) -> LabelledImages:
    """Read one split of a recipe's data, each image brought to the recipe's input size.

    Args:
        recipe: says layout, folder, labels and size.
        root: what a relative folder is below.
        split: "train" or "val".

    Raises:
        InvalidInput: the folder does not hold the layout, or a label is unknown.
    """
    folder = root / recipe.data.folder
    if not folder.is_dir():
        raise InvalidInput(
            f"no data folder {folder}; give the folder that holds {recipe.data.folder!r} as the data root"
        )
    return {"idx": _load_idx, "class_folders": _load_class_folders, "mask_folders": _load_mask_folders}[
        recipe.data.layout
    ](recipe, folder, split)


def _load_idx(recipe: Recipe, folder: Path, split: Split) -> LabelledImages:
    prefix = {"train": "train", "val": "t10k"}[split]
    images = _read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")  # (N, H, W)
    labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")  # (N,)
    if images.ndim != 3 or images.shape[1:] != (recipe.input.height, recipe.input.width):
        raise InvalidInput(
            f"{folder} holds images of {images.shape[1:]}, the recipe says {recipe.input.height} x "
            f"{recipe.input.width}"
        )
    if labels.shape != images.shape[:1]:
        raise InvalidInput(
            f"{folder} holds {len(images)} images and labels of shape {labels.shape} for {split}"
        )
    if labels.max() >= len(recipe.answer.labels):
        raise InvalidInput(
            f"{folder} holds class {labels.max()}, the recipe names {len(recipe.answer.labels)} labels"
        )
    return LabelledImages(
        torch.from_numpy(np.repeat(images[..., None], 3, axis=3)), torch.from_numpy(labels.astype(np.int64))
    )


def _read_idx(path: Path) -> Pixels:
    """An IDX file: two zero bytes, type 8 (uint8), rank, one big-endian size per axis, then the values."""
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from None
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise InvalidInput(f"{path} is not an IDX file of bytes")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise InvalidInput(f"{path} ends within its header")
    shape = np.frombuffer(content[4:start], ">u4").tolist()
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != math.prod(shape) or values.size == 0:
        raise InvalidInput(f"{path} holds {values.size} bytes of values, its header says {shape}")
    return values.reshape(shape)


def _load_class_folders(recipe: Recipe, folder: Path, split: Split) -> LabelledImages:
    images, labels = [], []
    for index, label in enumerate(recipe.answer.labels):
        paths = images_in(folder / split / label)
        images += [_fitted(read_pixels(path), recipe) for path in paths]
        labels += [index] * len(paths)
    return LabelledImages(torch.from_numpy(np.stack(images)), torch.tensor(labels))


def _load_mask_folders(recipe: Recipe, folder: Path, split: Split) -> LabelledImages:
    known = {*range(len(recipe.answer.labels)), recipe.ignore_index}
    images, masks = [], []
    for path in images_in(folder / split / "images"):
        pixels = read_pixels(path)
        images.append(_fitted(pixels, recipe))
        mask_path = folder / split / "labels" / f"{path.stem}.png"
        mask = _read_mask(mask_path)
        if mask.shape != pixels.shape[:2]:
            raise InvalidInput(
                f"{mask_path} has the size {mask.shape}, its image, turned upright, {pixels.shape[:2]}; a "
                "label map has a label for each pixel of the upright image"
            )
        if unknown := set(np.unique(mask)) - known:
            raise InvalidInput(
                f"{mask_path} holds classes {sorted(unknown)}, which are neither labels nor ignore_index"
            )
        scaled = Image.fromarray(mask).resize(
            (recipe.input.width, recipe.input.height), Image.Resampling.NEAREST
        )
        masks.append(np.asarray(scaled))
    return LabelledImages(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(masks)))


def _read_mask(path: Path) -> Pixels:
    """A label map (H, W), upright as its image is."""
    try:
        with Image.open(path) as file:
            file.load()
            mask = np.asarray(turned(file, orientation(file)))
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidInput(f"cannot read the label map {path}: {error}") from None
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise InvalidInput(
            f"{path} must be an 8-bit image of class numbers, got shape {mask.shape} of {mask.dtype}"
        )
    return mask


def _fitted(pixels: Pixels, recipe: Recipe) -> Pixels:
    contract = recipe.input
    if contract.resize == "none":  # trained at one size, so that images can be batched
        image = Image.fromarray(pixels)
        return np.asarray(
            image.resize((contract.width, contract.height), INTERPOLATIONS[contract.interpolation])
        )
    return contract.fit(pixels)
