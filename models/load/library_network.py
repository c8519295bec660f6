"""Networks of timm, torchvision and segmentation-models-pytorch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from regard.contract.answers import KINDS, Classes, LabelMap
from regard.contract.card import Card, Origin
from regard.errors import InvalidInput
from regard.models.foreign import build_foreign, get_weights, probe
from regard.models.foreign.library import Foreign
from regard.models.foreign.name import foreign_name
from regard.models.load.awake import awaken
from regard.models.load.card import card_beside, with_options
from regard.models.load.seeded import seeded
from regard.models.load.weights import RANDOM, Loader, with_digest
from regard.models.options import with_classes


def from_library(
    name: str, options: Mapping[str, Any], weights: str | None, card: Card | None, loader: Loader
) -> tuple[nn.Module, Card]:
    """A network of one of these libraries and its Card, see `regard.models.load.resolve`."""
    asked = foreign_name(name, with_classes(options))
    if weights is None:
        raise InvalidInput(
            f"name the weights: a file, or {RANDOM!r} for an untrained network; regard downloads none. To "
            f"get a file: {get_weights(asked)}"
        )
    path = None if weights == RANDOM else Path(weights)
    card = card_beside(path) if card is None else card
    if card is not None:
        card, said = with_options(card, name, options)
        asked = foreign_name(name, said)
    with seeded():
        foreign = build_foreign(asked, path, loader.key)
    if path is not None:
        loader.load(foreign.network, path, f"For another number of classes name it {name}?classes=N")
    foreign.network.eval()
    contract = foreign.contract() if card is None else card.input
    network = foreign.adapted().eval()
    contract, scores = probe(network, foreign.task, contract, name)
    if card is None:
        card = Card(
            name=asked.served,
            inputs=(contract,),
            answer=_answer(foreign, scores),
            origin=Origin(builder=name, options=dict(asked.options)),
        )
    if path is None:
        awaken(network, card)
    return network, with_digest(card, path)


def _answer(foreign: Foreign, scores: int) -> Classes | LabelMap:
    """What so many scores answer; one score for a pixel is of two labels."""
    if foreign.task == "segmentation" and scores == 1:
        return LabelMap(labels=foreign.labels(2), activation="sigmoid")
    return KINDS[foreign.task](labels=foreign.labels(scores))
