"""Recipes: those that come with regard are valid, and each rule broken once is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

import regard.models.training
from regard.contract.answers import LabelMap
from regard.errors import InvalidInput
from regard.models.catalog import CATALOG
from regard.models.training.recipe import Recipe, recipe_from_file

RECIPES = sorted((Path(regard.models.training.__file__).parent / "recipes").glob("*.toml"))

TOML = """
name = "a"
builder = "se_resnet18"
[data]
layout = "class_folders"
folder = "x"
source = "me"
licence = "CC0"
[input]
height = 16
width = 16
resize = "stretch"
[answer]
kind = "classes"
labels = ["red", "green"]
[optimization]
epochs = 2
batch_size = 4
optimizer = "sgd"
learning_rate = 0.1
schedule = "cosine"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "r.toml"
    path.write_text(text)
    return path


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_that_come_with_regard(path: Path) -> None:
    recipe = recipe_from_file(path)
    assert recipe.builder in CATALOG
    layouts = {"classification": ("idx", "class_folders"), "segmentation": ("mask_folders",)}
    assert recipe.data.layout in layouts[CATALOG[recipe.builder].task]
    assert recipe.data.licence
    if isinstance(recipe.answer, LabelMap) and recipe.answer.palette is not None:
        assert len(set(recipe.answer.palette)) == len(recipe.answer.labels)


def test_reads_toml(tmp_path: Path) -> None:
    recipe = recipe_from_file(write(tmp_path, TOML))
    assert recipe.answer.labels == ("red", "green")
    assert recipe.augmentation.flip is False
    assert recipe.optimization.seed == 0


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"cannot read the recipe .*none\.toml: No such file"):
        recipe_from_file(tmp_path / "none.toml")
    with pytest.raises(InvalidInput, match="cannot read the recipe"):
        recipe_from_file(tmp_path)


@pytest.mark.parametrize("text", ["name = ", "[data", "a = 1\na = 2", "{}"])
def test_not_toml(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"the recipe .*r\.toml is not TOML"):
        recipe_from_file(write(tmp_path, text))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(InvalidInput, match=r"r\.toml"):
        recipe_from_file(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "a"', 'name = "a/b"', "name"),
        ('name = "a"', "", "name: Field required"),
        ('name = "a"', 'name = "a"\nnmae = 1', "nmae"),
        ('layout = "class_folders"', 'layout = "coco"', "data.layout"),
        ('licence = "CC0"', "", "data.licence: Field required"),
        ("height = 16", "height = 0", "input.height"),
        ('resize = "stretch"', 'resize = "none"', "dynamic_size"),
        ('["red", "green"]', "[]", "answer.classes.labels"),
        ("epochs = 2", "epochs = 0", "optimization.epochs"),
        ("batch_size = 4", "batch_size = 1", "optimization.batch_size"),
        ('"sgd"', '"lion"', "optimization.optimizer"),
        ('"cosine"', '"step"', "optimization.schedule"),
        ("learning_rate = 0.1", "learning_rate = 0", "optimization.learning_rate"),
        ("learning_rate = 0.1", "learning_rate = nan", "optimization.learning_rate"),
        ("learning_rate = 0.1", "learning_rate = inf", "optimization.learning_rate"),
        ("epochs = 2", "epochs = 2\nbalance = 1.5", "optimization.balance"),
        ("epochs = 2", "epochs = 2\nlabel_smoothing = 1", "optimization.label_smoothing"),
        ("epochs = 2", "epochs = 2\nbackbone_factor = 0", "optimization.backbone_factor"),
        ("epochs = 2", "epochs = 2\nweight_decay = -1", "optimization.weight_decay"),
        ("epochs = 2", "epochs = 2\nwarmup_epochs = -1", "optimization.warmup_epochs"),
        ("[optimization]", "[augmentation]\nshift = -1\n[optimization]", "augmentation.shift"),
        ("[optimization]", "[augmentation]\nerase = 1.5\n[optimization]", "augmentation.erase"),
        ("[optimization]", "[augmentation]\ncolour = 1\n[optimization]", "augmentation.colour"),
        (
            "[optimization]",
            "[augmentation]\ncrop = [20, 8]\n[optimization]",
            r"crop \(20, 8\) at scale 1(\.0)? is larger",
        ),
        (
            "[optimization]",
            "[augmentation]\ncrop = [8, 8]\nscale = [0.4, 1]\n[optimization]",
            "at scale 0.4 is larger",
        ),
        (
            "[optimization]",
            "[augmentation]\ncrop = [8, 8]\nscale = [2, 1]\n[optimization]",
            "positive numbers in order",
        ),
        (
            "[optimization]",
            "[augmentation]\ncrop = [8, 8]\nscale = [0, 1]\n[optimization]",
            "positive numbers in order",
        ),
        ("[optimization]", "[augmentation]\ncrop = [0, 8]\n[optimization]", "crop"),
        ("[optimization]", "[augmentation]\ncrop = [-4, 8]\n[optimization]", "crop"),
    ],
)
def test_each_rule(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TOML
    with pytest.raises(InvalidInput, match=rf"the recipe .*r\.toml is not valid: .*({message})"):
        recipe_from_file(write(tmp_path, TOML.replace(old, new, 1)))


def test_a_label_that_is_ignored_is_a_contradiction(segmentation: Callable[..., Recipe]) -> None:
    """ignore_index is what training and metrics leave out, so it cannot be one of the classes that they
    count.
    """
    with pytest.raises(ValidationError, match="ignore_index"):
        segmentation(answer__ignore_index=1)
