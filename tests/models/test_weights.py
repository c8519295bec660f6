"""The weights that come with regard: whole, described by their Cards, and as good as the Cards say on images
that were never trained on.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.image_files import images_in
from regard.contract.reading import card_from_file
from regard.models import catalog
from regard.models.checkpoint import load_weights, read_state_dict
from regard.models.samples import sample_folder, sample_images
from regard.models.training.data import load
from regard.models.training.loop import evaluate
from regard.models.training.recipe import find_recipe, recipe_from_file
from regard.models.weights_index import shipped

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
MAX_BYTES = 12 * 10**6
# of those that were trained to the end
FLOORS = {"se_resnet18_fashion_mnist": 0.94, "ccnet_mobilenet_v2_camvid": 0.66}


def network_of(card: Card, path: Path) -> torch.nn.Module:
    network = catalog.build(card.origin.builder, **card.origin.options)
    load_weights(network, read_state_dict(path), source=str(path))
    return network.eval()


def test_both_of_the_demo_are_there() -> None:
    assert FLOORS.keys() <= shipped().keys()


@pytest.mark.parametrize("name", shipped())
def test_card_describes_the_weights(name: str) -> None:
    card, path = card_from_file(shipped()[name]), shipped()[name].with_suffix(".safetensors")
    assert card.name == name
    assert card.origin.weights_sha256 == sha256(path)
    assert path.stat().st_size <= MAX_BYTES
    network_of(card, path)
    assert "non-commercial" in (card.origin.licence or "") or "camvid" not in name


@pytest.mark.parametrize(
    "name", [name for name, path in shipped().items() if card_from_file(path).origin.recipe is not None]
)
def test_card_agrees_with_its_recipe(name: str) -> None:
    card, recipe = card_from_file(shipped()[name]), recipe_from_file(find_recipe(Path(name)))
    assert (recipe.input, recipe.answer, recipe.builder) == (card.input, card.answer, card.origin.builder)


GARMENTS = [name for name in shipped() if name.endswith("fashion_mnist")]
STREETS = [
    name for name, path in shipped().items() if "camvid" in name and card_from_file(path).state is None
]


def answers(name: str, *, count: int) -> tuple[torch.Tensor, Card]:
    """Class indices for the first sample images that come with regard."""
    card = card_from_file(shipped()[name])
    images = torch.from_numpy(np.stack(sample_images(card)[:count])).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (card.input.mean, card.input.std))
    with torch.inference_mode():
        scores = network_of(card, shipped()[name].with_suffix(".safetensors"))((images - mean) / std)
    return scores.argmax(dim=1), card


@pytest.mark.parametrize("name", GARMENTS)
def test_sample_garments(name: str) -> None:
    found, card = answers(name, count=10)
    meant = [path.stem.split("_")[-1] for path in images_in(sample_folder(card))]
    right = [word.lower() in card.answer.labels[i].lower() for word, i in zip(meant, found, strict=True)]
    assert sum(right) >= 9  # a T-shirt may pass for a shirt


@pytest.mark.parametrize("name", STREETS)
def test_a_sample_street(name: str) -> None:
    """A quarter to a third of it is road, with the sky above."""
    (found,), card = answers(name, count=1)
    road, sky = ((found == card.answer.labels.index(label)).nonzero() for label in ("road", "sky"))
    assert 0.25 < len(road) / found.numel() < 0.35
    assert 0.05 < len(sky) / found.numel() < 0.15
    assert sky[:, 0].max() < road[:, 0].min()


def measured(name: str, root: Path) -> tuple[dict[str, float], Card]:
    card = card_from_file(shipped()[name])
    recipe = recipe_from_file(find_recipe(Path(name)))
    return evaluate(
        network_of(card, shipped()[name].with_suffix(".safetensors")), load(recipe, root, "val"), recipe
    ), card


@pytest.mark.slow
@pytest.mark.skipif(
    not FASHION_MNIST.is_dir(), reason=f"no {FASHION_MNIST}: apt install dataset-fashion-mnist"
)
@pytest.mark.parametrize("name", GARMENTS)
def test_garments(name: str) -> None:
    metrics, card = measured(name, FASHION_MNIST)
    assert metrics["top1"] >= FLOORS.get(name, 0.9)
    # two images of 10 000: another processor
    assert metrics["top1"] == pytest.approx(card.origin.metrics["top1"], abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", STREETS)
def test_streets(name: str, data_root: Path) -> None:
    metrics, card = measured(name, data_root)
    assert metrics["mean_iou"] >= FLOORS.get(name, 0.55)
    assert metrics == pytest.approx(card.origin.metrics, abs=1e-3)
