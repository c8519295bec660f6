"""Networks of the catalog."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from regard.contract.answers import KINDS
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.models import catalog
from regard.models.interface import WithInterface, numbered_classes
from regard.models.load.awake import awaken
from regard.models.load.card import card_beside, with_options
from regard.models.load.seeded import seeded
from regard.models.load.weights import Loader, weights_of, with_digest
from regard.models.options import with_classes


def from_catalog(
    name: str, options: Mapping[str, Any], weights: str | None, card: Card | None, loader: Loader
) -> tuple[nn.Module, Card]:
    """A network of the catalog and its Card, see `regard.models.load.resolve`."""
    catalog.find(name)
    path = weights_of(name, weights)
    card = card_beside(path) if card is None else card
    if card is None:
        advice = (
            f"Weights of other classes or options come with a Card that says so; without one name it "
            f"{name}?classes=N"
        )
        options = with_classes(options)
        network = build_seeded(name, options)
        card = default_card(name, network, options)
    else:
        advice = ""
        card, options = with_options(card, name, options)
        network = build_seeded(name, options)
    network.eval()
    if path is not None:
        loader.load(network, path, advice)
    elif not isinstance(network, WithInterface):
        awaken(network, card)
    return network, with_digest(card, path)


def build_seeded(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Build a network of the catalog, with the same random weights every time."""
    with seeded():
        return catalog.build(name, **options)


def default_card(name: str, network: nn.Module, options: Mapping[str, Any]) -> Card:
    """What a catalog network built with these options means without a Card of its own: its interface where it
    has one; else ImageNet's mean and std, its usual size, classes by number.

    Segmenters take any size, unless they were built for one.
    """
    origin = Origin(builder=name, options=dict(options))
    if isinstance(network, WithInterface):
        said = network.interface()
        return Card(name=name, inputs=said.inputs, answer=said.answer, state=said.state, origin=origin)
    entry = catalog.find(name)
    size = options.get("image_size", entry.size) if entry.fixed_size else entry.size
    if entry.task == "classification":
        contract = ImageInput(height=size, width=size, resize="center_crop", crop=0.875)
    elif entry.fixed_size:
        contract = ImageInput(height=size, width=size, resize="stretch")
    else:
        contract = ImageInput(height=size, width=size, resize="none", dynamic_size=True)
    with torch.inference_mode():
        classes = network.eval()(torch.zeros(1, 3, size, size)).shape[1]
    answer = KINDS[entry.task](labels=numbered_classes(classes))
    return Card(name=name, inputs=(contract,), answer=answer, origin=origin)
