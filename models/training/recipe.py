"""The recipe: everything that decides a training run, in one TOML file."""

import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from regard.contract.answers import Answer, LabelMap
from regard.contract.card import NAME_PATTERN
from regard.contract.image_input import ImageInput
from regard.contract.record import Fraction
from regard.errors import InvalidInput, UnknownName

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Frozen):
    """Which images. Layouts are those of `regard.models.training.data`."""

    layout: Literal["idx", "class_folders", "mask_folders"]
    folder: str = Field(description="below the data root, or absolute")
    source: str = Field(description="who made the data")
    licence: str


class Augmentation(_Frozen):
    """Random changes to training images, none by default. All distributions are uniform."""

    flip: bool = Field(default=False, description="mirror left to right with probability 1/2")
    shift: int = Field(default=0, ge=0, description="translate by up to so many pixels, filling with black")
    erase: float = Field(default=0, ge=0, le=1, description="probability of a random rectangle of noise")
    crop: tuple[int, int] | None = Field(default=None, description="rows and columns of a random crop")
    scale: tuple[float, float] = Field(default=(1, 1), description="zoom of the crop, least and greatest")
    colour: float = Field(
        default=0, ge=0, lt=1, description="greatest relative change of brightness, contrast and saturation"
    )


class Optimization(_Frozen):
    """How the weights move."""

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=1)
    optimizer: Literal["adamw", "sgd"]
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    backbone_factor: Fraction = Field(
        default=1, description="of the learning rate, for a pretrained backbone"
    )
    weight_decay: float = Field(default=0, ge=0, description="not applied to biases, norms and scalars")
    schedule: Literal["cosine", "poly"]
    warmup_epochs: float = Field(default=1, ge=0)
    label_smoothing: float = Field(default=0, ge=0, lt=1)
    balance: float = Field(
        default=0, ge=0, le=1, description="class weights are frequency ** -balance, with mean 1 over pixels"
    )
    hard_pixels: int = Field(
        default=0, ge=0, description="learn from a batch's unsure pixels and at least so many; 0: from all"
    )
    seed: int = 0


class Recipe(_Frozen):
    """A training run: network, data, augmentation and optimization, with the contracts of the Card it will
    make.
    """

    name: str = Field(pattern=NAME_PATTERN)
    builder: str = Field(description="a catalog name")
    options: dict[str, Any] = Field(default_factory=dict)
    pretrained_backbone: str | None = Field(
        default=None,
        description="package:path of a state dict in an installed package, for every backbone of the "
        "network; attention that it lacks starts untrained",
    )
    data: Data
    input: ImageInput
    answer: Answer
    augmentation: Augmentation = Augmentation()
    optimization: Optimization

    @property
    def ignore_index(self) -> int | None:
        """Label of the pixels that training and metrics leave out."""
        return self.answer.ignore_index if isinstance(self.answer, LabelMap) else None

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        if self.input.channels != 3 or self.input.pad_to != 1:
            raise ValueError("networks of the catalog take RGB of any size: channels must be 3 and pad_to 1")
        if self.answer.activation != "softmax":
            raise ValueError("one label is learnt for each image or pixel: activation must be 'softmax'")
        if self.data.layout == "mask_folders":
            if len(self.answer.labels) > 255:
                raise ValueError("label maps are 8-bit and 255 means unlabelled: at most 255 labels")
            if self.input.resize == "center_crop":
                raise ValueError(
                    "resize must be 'none' or 'stretch' for mask_folders, as label maps are not cropped"
                )
        elif self.optimization.hard_pixels:
            raise ValueError(
                "hard_pixels is for mask_folders: images of one class each have no pixels to choose from"
            )
        crop, (least, greatest) = self.augmentation.crop, self.augmentation.scale
        if not 0 < least <= greatest:
            raise ValueError(f"scale must be two positive numbers in order, got {least} and {greatest}")
        if crop and min(crop) < 1:
            raise ValueError(f"crop must be two positive numbers, got {crop}")
        if crop and (crop[0] > self.input.height * least or crop[1] > self.input.width * least):
            raise ValueError(
                f"crop {crop} at scale {least} is larger than the image {self.input.height} x "
                f"{self.input.width}"
            )
        return self


def find_recipe(name: Path) -> Path:
    """Return `name` if it is a file, else the recipe of that name that comes with regard.

    Raises:
        UnknownName: neither exists; names the recipes that come with regard.
    """
    if name.is_file():
        return name
    known = {path.stem: path for path in (Path(__file__).parent / "recipes").glob("*.toml")}
    if str(name) not in known:
        raise UnknownName.among("recipe", str(name), known)
    return known[str(name)]


def recipe_from_file(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        InvalidInput: no such file, not TOML, or a field is missing, unknown or breaks its rule.
    """
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidInput(f"cannot read the recipe {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the recipe {path} is not TOML: {error}") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise InvalidInput(f"the recipe {path} is not valid: {faults}") from None
