"""The file of weights: which one is meant, into the network, and whether it is the one the Card describes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput, InvalidWeights, UnknownName
from regard.models.checkpoint import load_weights, read_state_dict
from regard.models.weights_index import shipped

RANDOM = "random"
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")


def weights_of(name: str, weights: str | None) -> Path | None:
    """The file of weights for a catalog name: a path, the tag of one that comes with regard, or None for the
    only one that does; None for random ones.

    Raises:
        InvalidInput: None is given, and not just one comes with regard.
        UnknownName: it is neither a file nor a tag.
    """
    if weights == RANDOM:
        return None
    cards = {key: path for key, path in shipped().items() if card_from_file(path).origin.builder == name}
    tags = {key.removeprefix(f"{name}_"): path.with_suffix(".safetensors") for key, path in cards.items()}
    known = f"weights that come with regard for {name}: {', '.join(sorted(tags)) or 'none'}"
    if weights is None:
        if len(tags) != 1:
            raise InvalidInput(
                f"say which weights to take: a file, or {RANDOM!r} for an untrained network; {known}"
            )
        return next(iter(tags.values()))
    if weights in tags:
        return tags[weights]
    if Path(weights).suffix not in SUFFIXES and not Path(weights).is_file():
        raise UnknownName(
            f"no weights {weights!r}: neither a file ({', '.join(SUFFIXES)}) nor {RANDOM!r}; {known}"
        )
    return Path(weights)


def shipped_weights(card: Card) -> Path:
    """The file of the very weights that a Card describes, among those that come with regard.

    Raises:
        InvalidInput: they do not.
    """
    for path in shipped().values():
        if card_from_file(path).origin.weights_sha256 == card.origin.weights_sha256:
            return path.with_suffix(".safetensors")
    raise InvalidInput(f"the weights of {card.name} do not come with regard; name their file")


@dataclass(frozen=True)
class Loader:
    """How a file of weights is read.

    Attributes:
        key: which state dict, where the file holds several.
        report: told where in the file it was, and what was stripped of its names.
    """

    key: str | None = None
    report: Callable[[str], None] = lambda note: None

    def load(self, network: nn.Module, path: Path, advice: str = "") -> None:
        """Load a file into a network; where it is of another network, the error ends with the advice.

        Raises:
            InvalidWeights: it cannot be read, or does not fit.
        """
        state = read_state_dict(path, self.key, report=self.report)
        try:
            load_weights(network, state, source=str(path), report=self.report)
        except InvalidWeights as error:
            raise InvalidWeights(f"{error}. {advice}" if advice else str(error)) from None


def with_digest(card: Card, path: Path | None) -> Card:
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
                "Take the weights it was made for, or give a Card of your own that sets weights_sha256 to "
                "null."
            )
    origin = card.origin.model_copy(update={"weights_sha256": digest or card.origin.weights_sha256})
    return card.updated(origin=origin.model_dump())
