"""Labelled images in memory, read from three layouts.

idx            train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-..., t10k-labels-...
               (MNIST and its kin)
class_folders  {train,val}/<label>/*.{jpg,png,webp,...}
mask_folders   {train,val}/images/*.{jpg,png,webp,...} and {train,val}/labels/<same stem>.png, 8-bit class
               numbers of the upright image
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.contract.image_files import images_in, read_pixels
from regard.contract.preprocess import INTERPOLATIONS, Pixels
from regard.errors import InvalidInput
from regard.models.label_files import IMAGES, check_known, label_map_beside, read_label_map, read_labelled_idx
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
    images, labels = read_labelled_idx(folder, prefix, len(recipe.answer.labels))  # (N, H, W), (N,)
    if images.shape[1:] != (recipe.input.height, recipe.input.width):
        raise InvalidInput(
            f"{folder} holds images of {images.shape[1:]}, the recipe says {recipe.input.height} x "
            f"{recipe.input.width}"
        )
    return LabelledImages(
        torch.from_numpy(np.repeat(images[..., None], 3, axis=3)), torch.from_numpy(labels.astype(np.int64))
    )


def _load_class_folders(recipe: Recipe, folder: Path, split: Split) -> LabelledImages:
    images, labels = [], []
    for index, label in enumerate(recipe.answer.labels):
        paths = images_in(folder / split / label)
        images += [_fitted(read_pixels(path), recipe) for path in paths]
        labels += [index] * len(paths)
    return LabelledImages(torch.from_numpy(np.stack(images)), torch.tensor(labels))


def _load_mask_folders(recipe: Recipe, folder: Path, split: Split) -> LabelledImages:
    images, masks = [], []
    for path in images_in(folder / split / IMAGES):
        pixels = read_pixels(path)
        images.append(_fitted(pixels, recipe))
        mask_path = label_map_beside(path)
        mask = read_label_map(mask_path, (pixels.shape[0], pixels.shape[1]))
        check_known(mask, mask_path, len(recipe.answer.labels), recipe.ignore_index)
        scaled = Image.fromarray(mask).resize(
            (recipe.input.width, recipe.input.height), Image.Resampling.NEAREST
        )
        masks.append(np.asarray(scaled))
    return LabelledImages(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(masks)))


def _fitted(pixels: Pixels, recipe: Recipe) -> Pixels:
    contract = recipe.input
    if contract.resize == "none":  # trained at one size, so that images can be batched
        image = Image.fromarray(pixels)
        return np.asarray(
            image.resize((contract.width, contract.height), INTERPOLATIONS[contract.interpolation])
        )
    return contract.fit(pixels)
