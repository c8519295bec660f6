"""Networks of the user's own, from `package.module:callable`."""

import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from regard.contract.card import Card, explained
from regard.contract.record import Record
from regard.errors import InvalidInput, UnknownName
from regard.models.load.card import card_beside
from regard.models.load.weights import RANDOM, Loader, with_digest
from regard.models.options import agreed
from regard.models.own_code import place_of
from regard.models.signatures import keywords


def from_callable(
    name: str, options: Mapping[str, Any], weights: str | None, card: Card | None, loader: Loader
) -> tuple[nn.Module, Card]:
    """What a callable returns for these options, and its Card, see `regard.models.load.resolve`.

    A Card that names this callable brings its options.
    """
    path = None if weights in (None, RANDOM) else Path(str(weights))
    card = card_beside(path) if card is None else card
    if card is not None and card.origin.builder == name:
        options = agreed(card.origin.options, options, by=f"the Card of {card.name}")
    with _working_directory_importable():
        build = find_callable(name)
        arguments = keywords(name, build, options)
        with _card_faults_at_their_line():
            built = build(**arguments)
    network, own_card = built if isinstance(built, tuple) and len(built) == 2 else (built, None)
    if not isinstance(network, nn.Module) or not isinstance(own_card, Card | None):
        raise InvalidInput(
            f"{name} must return a torch.nn.Module, or one and its Card; it returned {type(built).__name__}"
        )
    card = card or own_card
    if card is None:
        raise InvalidInput(
            f"{name} comes without a Card, which says what goes in and out: give one, or return (network, "
            "Card)"
        )
    _warn_of_defaults(card, build)
    if options:
        card = card.updated(origin=card.origin.model_dump() | {"builder": name, "options": dict(options)})
    if path is not None:
        loader.load(network, path)
    return network.eval(), with_digest(card, path)


def find_callable(name: str) -> Callable[..., object]:
    """Import `package.module:callable`.

    Raises:
        UnknownName: there is no such module, or no such callable in it.
    """
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
def _card_faults_at_their_line() -> Iterator[None]:
    """The user's own function may make a Card that breaks a rule."""
    try:
        yield
    except ValidationError as error:
        place = place_of(error)
        if place is None or error.title not in {kind.__name__ for kind in Record.kinds()}:
            raise  # of a model of the user's own
        raise InvalidInput(explained(error, f"{place}: this")) from None


def _warn_of_defaults(card: Card, build: Callable[..., object]) -> None:
    """A network of one's own was trained with some normalization, which only its owner knows."""
    contract = card.pixels
    if contract is None:
        return
    left_out = [name for name in ("mean", "std") if name not in contract.model_fields_set]
    if not left_out:
        return
    taken = ", ".join(f"{name}={getattr(contract, name)}" for name in left_out)
    code = getattr(inspect.unwrap(build), "__code__", None)
    warnings.warn_explicit(
        f"the Card of {card.name} leaves out {' and '.join(left_out)}, and ImageNet's are taken: {taken}. "
        "Give those of the network's training in its ImageInput, these very ones where they are",
        UserWarning,
        filename=code.co_filename if code else __file__,
        lineno=code.co_firstlineno if code else 0,
    )


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    entry = str(Path.cwd())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
