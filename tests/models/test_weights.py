"""The weights that come with regard: whole, described by their Cards, and as good as the Cards say on images
that were never trained on.
"""

from pathlib import Path

import pytest
import torch

from regard.contract.card import Card, card_from_file
from regard.contract.digest import sha256
from regard.models import catalog
from regard.models.checkpoint import load_weights, read_state_dict
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
    recipe = recipe_from_file(find_recipe(Path(name)))
    assert (recipe.input, recipe.output, recipe.builder) == (card.input, card.output, card.origin.builder)
    assert "non-commercial" in (card.origin.licence or "") or "camvid" not in name


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
@pytest.mark.parametrize("name", [name for name in shipped() if name.endswith("fashion_mnist")])
def test_garments(name: str) -> None:
    metrics, card = measured(name, FASHION_MNIST)
    assert metrics["top1"] >= FLOORS.get(name, 0.9)
    # two images of 10 000: another processor
    assert metrics["top1"] == pytest.approx(card.origin.metrics["top1"], abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in shipped() if "camvid" in name])
def test_streets(name: str, data_root: Path) -> None:
    metrics, card = measured(name, data_root)
    assert metrics["mean_iou"] >= FLOORS.get(name, 0.55)
    assert metrics == pytest.approx(card.origin.metrics, abs=1e-3)
