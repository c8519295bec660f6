"""What to export: a name of the catalog or of another library, or `package.module:callable` of the user's
own, with weights and Card.

resolve("se_resnet18", weights="fashion_mnist")                weights that come with regard
resolve("ccnet_mobilenet_v2", weights="run/best.safetensors")  a file, and the Card best.json beside it
resolve("se_resnet50", weights="random")                       untrained, on purpose
resolve("timm:resnet18", weights="resnet18.pt")                networks of timm, torchvision and smp, see
                                                               regard.models.foreign.name
resolve("my_package.my_module:build", weights="w.pt", card=Path("card.json"))
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regard.contract.card import Card, InputContract, Origin, OutputContract, card_from_file
from regard.contract.digest import sha256
from regard.errors import InvalidInput, InvalidWeights, UnknownName
from regard.models import catalog
from regard.models.checkpoint import load_weights, read_state_dict
from regard.models.foreign import build_foreign, get_weights, probe
from regard.models.foreign.name import ForeignName, is_foreign, parse_name
from regard.models.weights_index import shipped

RANDOM = "random"
SUFFIXES = (".safetensors", ".pt", ".pth")


def resolve(name: str, *, weights: str | None = None, card: Path | None = None) -> tuple[nn.Module, Card]:
    """Build a network with its weights, in evaluation mode, and find its Card.

    Args:
        name: in the catalog; `timm:NAME`, `torchvision:NAME` or `smp:ARCH?encoder=NAME&classes=N`; or
            `package.module:callable`, imported from the working directory first. The callable takes no
            arguments and returns the network, or the network and its Card.
        weights: a .safetensors or .pt file, or "random"; for a catalog name also the tag of weights that come
            with regard. None means the weights that come with regard if there are just one for this name, or
            the callable's own.
        card: the Card's file. None means the JSON file of the same stem beside the weights, the callable's
            own, the library's evaluation preprocessing, or, for a catalog network, ImageNet's input; the last
            two number the labels.

    Raises:
        UnknownName: nothing has this name; with the nearest ones.
        InvalidWeights: the weights cannot be read, do not fit, or are not those the Card describes.
        InvalidInput: there is no Card, it belongs to another network, the callable returns no network, or the
            library is not installed or refuses an option.
    """
    if is_foreign(name):
        return _from_library(name, weights, card)
    if ":" in name:
        return _from_callable(name, weights, card)
    catalog.find(name)
    return _from_catalog(name, weights, card)


def _from_catalog(name: str, weights: str | None, card_path: Path | None) -> tuple[nn.Module, Card]:
    path = _weights_of(name, weights)
    card = _card_beside(path, card_path)
    if card is None:
        network = _build(name, {})
        advice = "Weights of other classes or options come with a Card that says so: give it with --card"
        return _loaded(network, default_card(name, network), path, advice)
    if card.origin.builder != name:
        raise InvalidInput(
            f"the Card of {card.name} belongs to {card.origin.builder}, not to {name}; export "
            f"{card.origin.builder}"
        )
    network = _build(name, {"num_classes": len(card.output.labels)} | card.origin.options)
    return _loaded(network, card, path)


def _build(name: str, options: dict[str, Any]) -> nn.Module:
    with _seeded():
        return catalog.build(name, **options)


@contextmanager
def _seeded() -> Iterator[None]:
    """The same untrained network every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _from_library(name: str, weights: str | None, card_path: Path | None) -> tuple[nn.Module, Card]:
    asked = parse_name(name)
    if weights is None:
        how = get_weights(asked)
        raise InvalidInput(
            f"give --weights: a file, or {RANDOM!r} for an untrained network; regard downloads none. To get "
            f"a file: {how}"
        )
    path = None if weights == RANDOM else Path(weights)
    card = _card_beside(path, card_path)
    if card is not None:
        asked = _described(asked, card)
    with _seeded():
        foreign = build_foreign(asked, path)
    if path is not None:
        _load(foreign.network, path, f"For another number of classes name it {asked.builder}?classes=N")
    foreign.network.eval()
    contract = foreign.contract() if card is None else card.input
    network = foreign.adapted().eval()
    contract, classes = probe(network, foreign.task, contract, name)
    if card is None:
        output = OutputContract(labels=foreign.labels(classes))
        origin = Origin(builder=asked.builder, options=dict(asked.options))
        card = Card(name=asked.served, task=foreign.task, input=contract, output=output, origin=origin)
    return network, _with_digest(card, path)


def _described(asked: ForeignName, card: Card) -> ForeignName:
    """What was asked for, with the options that its Card adds."""
    own = parse_name(card.origin.builder) if is_foreign(card.origin.builder) else None
    if own is None or own.builder != asked.builder:
        raise InvalidInput(
            f"the Card of {card.name} belongs to {card.origin.builder}, not to {asked.builder}; export "
            f"{card.origin.builder}"
        )
    options = {"classes": len(card.output.labels)} | dict(own.options) | card.origin.options
    for option, value in asked.options.items():
        if options.get(option, value) != value:
            raise InvalidInput(
                f"the Card of {card.name} says {option}={options[option]!r}, the name {option}={value!r}; "
                "leave one out"
            )
    return ForeignName(asked.library, asked.network, options | dict(asked.options))


def _from_callable(name: str, weights: str | None, card_path: Path | None) -> tuple[nn.Module, Card]:
    path = None if weights in (None, RANDOM) else Path(str(weights))
    with _working_directory_importable():
        built = _find_callable(name)()
    network, own_card = built if isinstance(built, tuple) and len(built) == 2 else (built, None)
    if not isinstance(network, nn.Module) or not isinstance(own_card, Card | None):
        raise InvalidInput(
            f"{name} must return a torch.nn.Module, or one and its Card; it returned {type(built).__name__}"
        )
    card = _card_beside(path, card_path) or own_card
    if card is None:
        raise InvalidInput(
            f"{name} comes without a Card, which says what goes in and out: give --card FILE, or return "
            "(network, Card)"
        )
    return _loaded(network, card, path)


def _find_callable(name: str) -> Callable[[], Any]:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the user's module lacks one of its own imports
        raise UnknownName(
            f"no module {module_name!r} to find {attribute!r} in: Python knows no {error.name!r}, neither "
            f"installed nor in {Path.cwd()}"
        ) from None
    found = getattr(module, attribute, None)
    if not callable(found):
        known = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == module_name
        ]
        raise UnknownName.among(f"callable in {module_name}", attribute, known)
    return found


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    entry = str(Path.cwd())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _weights_of(name: str, weights: str | None) -> Path | None:
    """The weights' file for a catalog name; None for random ones."""
    if weights == RANDOM:
        return None
    cards = {key: path for key, path in shipped().items() if card_from_file(path).origin.builder == name}
    tags = {key.removeprefix(f"{name}_"): path.with_suffix(".safetensors") for key, path in cards.items()}
    known = f"weights that come with regard for {name}: {', '.join(sorted(tags)) or 'none'}"
    if weights is None:
        if len(tags) != 1:
            raise InvalidInput(
                f"say which weights to export with --weights: a file, or {RANDOM!r} for an untrained "
                f"network; {known}"
            )
        return next(iter(tags.values()))
    if weights in tags:
        return tags[weights]
    if Path(weights).suffix not in SUFFIXES:
        raise UnknownName(
            f"no weights {weights!r}: neither a file ({', '.join(SUFFIXES)}) nor {RANDOM!r}; {known}"
        )
    return Path(weights)


def _card_beside(weights: Path | None, card: Path | None) -> Card | None:
    if card is None and weights is not None and weights.with_suffix(".json").is_file():
        card = weights.with_suffix(".json")
    return None if card is None else card_from_file(card)


def default_card(name: str, network: nn.Module, options: Mapping[str, Any] | None = None) -> Card:
    """What a catalog network means without a Card of its own: ImageNet's mean and std, its usual size,
    classes by number.

    Segmenters take any size, unless they were built for one.
    """
    entry = catalog.find(name)
    size = (options or {}).get("image_size", entry.size) if entry.fixed_size else entry.size
    if entry.task == "classification":
        contract = InputContract(height=size, width=size, resize="center_crop", crop=0.875)
    elif entry.fixed_size:
        contract = InputContract(height=size, width=size, resize="stretch")
    else:
        contract = InputContract(height=size, width=size, resize="none", dynamic_size=True)
    with torch.inference_mode():
        classes = network.eval()(torch.zeros(1, 3, size, size)).shape[1]
    labels = OutputContract(labels=tuple(f"class {index}" for index in range(classes)))
    return Card(
        name=name,
        task=entry.task,
        input=contract,
        output=labels,
        origin=Origin(builder=name, options=dict(options or {})),
    )


def _loaded(network: nn.Module, card: Card, path: Path | None, advice: str = "") -> tuple[nn.Module, Card]:
    if path is not None:
        _load(network, path, advice)
    return network.eval(), _with_digest(card, path)


def _load(network: nn.Module, path: Path, advice: str) -> None:
    """Load a file of weights; where they are those of another network, the error ends with the advice."""
    state = read_state_dict(path)
    try:
        load_weights(network, state, source=str(path))
    except InvalidWeights as error:
        raise InvalidWeights(f"{error}. {advice}" if advice else str(error)) from None


def _with_digest(card: Card, path: Path | None) -> Card:
    """The Card, describing the weights' file.

    Raises:
        InvalidWeights: it describes another.
    """
    digest = None
    if path is not None:
        digest, described = sha256(path), card.origin.weights_sha256
        if described not in (None, digest):
            raise InvalidWeights(
                f"the Card of {card.name} describes weights of SHA-256 {described}, {path} has {digest}. "
                "Take the weights it was made for, or set weights_sha256 to null in a Card of your own "
                "(--card)."
            )
    origin = card.origin.model_copy(update={"weights_sha256": digest or card.origin.weights_sha256})
    return card.updated(origin=origin.model_dump())
