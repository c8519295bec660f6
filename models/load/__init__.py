"""A name, options, weights and a Card become a network, ready to answer, and its Card.

resolve("se_resnet18", weights="fashion_mnist")                weights that come with regard
resolve("ccnet_mobilenet_v2", weights="run/best.safetensors")  a file, and the Card best.json beside it
resolve("resnet50", options={"attention": "se"}, weights="random")      untrained, on purpose
resolve("timm:resnet18", weights="resnet18.pt")                networks of timm, torchvision and smp, see
                                                               regard.models.foreign.name
resolve("my_package.my_module:build", weights="w.pt", card=Path("card.json"))
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from regard.contract.card import Card
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput, InvalidWeights
from regard.models.foreign.name import is_foreign
from regard.models.load.catalog_network import from_catalog
from regard.models.load.library_network import from_library
from regard.models.load.own_callable import from_callable
from regard.models.load.weights import RANDOM, Loader, shipped_weights
from regard.models.options import split_options


def resolve(
    name: str,
    *,
    options: Mapping[str, Any] | None = None,
    weights: str | None = None,
    card: Path | Card | None = None,
    key: str | None = None,
    report: Callable[[str], None] = lambda note: None,
) -> tuple[nn.Module, Card]:
    """Build a network with its weights, in evaluation mode, and find its Card.

    Args:
        name: in the catalog; `timm:NAME`, `torchvision:NAME` or `smp:ARCH`; or `package.module:callable`,
            imported from the working directory first. The callable returns the network, or the network and
            its Card. Options may follow any of them: `NAME?key=value&key=value`.
        options: keyword arguments of the network's builder, `classes` among them, besides those in the name.
            The Card's are taken without being said; those given are recorded in it.
        weights: a .safetensors file or PyTorch's, or "random": as the builder draws them, the same every
            time, and changed where the answers would not depend on the image (see
            `regard.models.load.awake`; a callable's own weights stay). For a catalog name also the tag of
            weights that come with regard. None means the weights that come with regard if there are just one
            for this name, or the callable's own.
        card: the Card, or its file. None means the JSON file of the same stem beside the weights, the
            callable's own, the library's evaluation preprocessing, or, for a catalog network, ImageNet's
            input; the last two number the labels.
        key: which state dict of the weights' file, where it holds several, see
            `regard.models.state_dict.find_state_dict`.
        report: told where in the file the weights were, and what was stripped of their names.

    Raises:
        UnknownName: nothing has this name, or the builder no such option; with the nearest ones.
        InvalidWeights: the weights cannot be read, do not fit, or are not those the Card describes.
        InvalidInput: there is no Card, it belongs to another network or contradicts the options, an option's
            value is refused, the callable returns no network, or the library is not installed.
    """
    if key is not None and weights in (None, RANDOM):
        raise InvalidInput(f"the key {key!r} names a part of a file of weights; give one")
    name, asked = split_options(name, options or {})
    given = card_from_file(card) if isinstance(card, Path) else card
    loader = Loader(key, report)
    if is_foreign(name):
        return from_library(name, asked, weights, given, loader)
    if ":" in name:
        return from_callable(name, asked, weights, given, loader)
    return from_catalog(name, asked, weights, given, loader)


def network_of(card: Card, weights: Path | None = None) -> nn.Module:
    """The network that a Card describes, in evaluation mode, with its very weights.

    Args:
        card: its origin says what to build.
        weights: their file; None finds them among those that come with regard, and needs none for an
            untrained network.

    Raises:
        InvalidWeights: the weights are not those of the Card.
        InvalidInput: they are not found; and what `resolve` raises.
    """
    trained = card.origin.weights_sha256 is not None
    if weights is not None and not trained:
        raise InvalidWeights(f"the Card of {card.name} describes an untrained network, not {weights}")
    if weights is None and trained:
        weights = shipped_weights(card)
    name = RANDOM if weights is None else str(weights)
    return resolve(card.origin.builder, weights=name, card=card)[0]
