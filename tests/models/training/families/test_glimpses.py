"""The shipped networks that look again: as good as their Cards say, and the docs say what their Cards say."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regard.contract.answers import Classes
from regard.contract.card import Card
from regard.contract.image_files import images_in
from regard.contract.reading import card_from_file
from regard.export.graph.served_graph import Normalize
from regard.models import catalog
from regard.models.checkpoint import load_weights, read_state_dict
from regard.models.samples import sample_folder, sample_images
from regard.models.training.families.digits import load_digits
from regard.models.training.families.glimpses.__main__ import TRAININGS
from regard.models.weights_index import shipped

TRAINED = {each.name: each for each in TRAININGS.values() if each.name in shipped()}
CLASSIFIERS = [name for name, each in TRAINED.items() if isinstance(each.answer, Classes)]
PAGE = Path(__file__).parents[4] / "docs" / "glimpses.md"
MOST_BYTES = 2 * 10**6


def load(name: str) -> tuple[nn.Module, Card]:
    card = card_from_file(shipped()[name])
    network = catalog.build(card.origin.builder, **card.origin.options)
    load_weights(network, read_state_dict(shipped()[name].with_suffix(".safetensors")), source=name)
    return network.eval(), card


def samples(card: Card) -> Tensor:
    pixels = np.stack([card.input.fit(image) for image in sample_images(card)])
    x: Tensor = Normalize(card.input)(torch.from_numpy(pixels))
    return x


def test_ram_is_among_them() -> None:
    assert "ram_digits" in TRAINED


@pytest.mark.parametrize("name", TRAINED)
def test_card_is_of_its_training(name: str) -> None:
    network, card = load(name)
    training = TRAINED[name]
    assert (card.origin.builder, card.origin.options) == (training.builder, training.options)
    assert (card.answer, card.inputs) == (training.answer, network.interface().inputs)
    assert shipped()[name].with_suffix(".safetensors").stat().st_size < MOST_BYTES


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_reads_the_sample_digits(name: str) -> None:
    network, card = load(name)
    meant = [path.stem for path in images_in(sample_folder(card))]
    with torch.inference_mode():
        found = [card.answer.labels[index] for index in network(samples(card)).argmax(dim=1)]
    assert sum(a == b for a, b in zip(found, meant, strict=True)) >= 9


@pytest.mark.parametrize("name", TRAINED)
def test_the_page_states_its_figures(name: str) -> None:
    """Every figure in the weights' row is one of the Card's, rounded as it is written."""
    card = card_from_file(shipped()[name])
    (row,) = re.findall(rf"^\| `{name}` \|.*$", PAGE.read_text(), re.MULTILINE)
    figures = re.findall(r"\d+\.\d+", row.split("|", 3)[3])
    known = [
        f"{value * scale:.{len(figure.partition('.')[2])}f}"
        for figure in figures
        for value in card.origin.metrics.values()
        for scale in (1, 100)
    ]
    assert len(figures) >= 2
    assert set(figures) <= set(known)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_is_as_good_as_its_card_says(name: str, data_root: Path) -> None:
    if not (data_root / "digits").is_dir():
        pytest.skip(f"no {data_root / 'digits'}: docs/data.md says how to get it")
    network, card = load(name)
    with torch.inference_mode():
        metrics = TRAINED[name](*load_digits(data_root), 0).measure(network)
    for key, value in metrics.items():
        assert value == pytest.approx(card.origin.metrics[key], rel=2e-3, abs=1e-3), key
