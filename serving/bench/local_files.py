"""The files behind a served model, for running the same network in this process."""

from pathlib import Path
from typing import TYPE_CHECKING

from regard.contract.card import Card, card_from_file
from regard.contract.names import CARD_FILE, MODEL_FILE
from regard.errors import InvalidInput

if TYPE_CHECKING:
    from torch import nn


def graph_of(repository: Path, model: str, version: int, card: Card) -> Path:
    """The ONNX file of a served model's version.

    Raises:
        InvalidInput: the repository does not hold it, or holds another network under this name.
    """
    folder = repository / model / str(version)
    if not (folder / MODEL_FILE).is_file():
        raise InvalidInput(
            f"{repository} holds no {model}/{version}/model.onnx, which the comparison needs; "
            "name the server's own repository."
        )
    beside = folder / CARD_FILE
    here = card_from_file(beside if beside.is_file() else repository / model / CARD_FILE)
    if (here.input, here.output, here.origin) != (card.input, card.output, card.origin):
        raise InvalidInput(
            f"{folder} is not what the server serves as {model}; name the server's own repository."
        )
    return folder / MODEL_FILE


def network_of(card: Card, weights: Path | None) -> "nn.Module":
    """The PyTorch network of a Card in evaluation mode, with its very weights.

    weights: their file; None finds them among those that come with regard, and needs none for an untrained
        network.

    Raises:
        InvalidInput: the weights are not found or not those of the Card, or the builder is not in the
            catalog.
    """
    from regard.contract.digest import sha256
    from regard.models.catalog import build
    from regard.models.checkpoint import load_weights, read_state_dict
    from regard.models.weights_index import shipped

    network = build(
        card.origin.builder, **{"num_classes": len(card.output.labels)} | card.origin.options
    ).eval()
    wanted = card.origin.weights_sha256
    if weights is None:
        if wanted is None:
            return network
        known = [
            path.with_suffix(".safetensors")
            for path in shipped().values()
            if card_from_file(path).origin.weights_sha256 == wanted
        ]
        if not known:
            raise InvalidInput(f"the weights of {card.name} do not come with regard; name their file.")
        weights = known[0]
    elif sha256(weights) != wanted:
        raise InvalidInput(
            f"{weights} is not the file that {card.name} was exported from (its sha256 is not {wanted})."
        )
    load_weights(network, read_state_dict(weights), source=str(weights))
    return network
