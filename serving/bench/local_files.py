"""The graph behind a served model, for running it in this process."""

from pathlib import Path

from regard.contract.card import Card
from regard.contract.names import CARD_FILE, MODEL_FILE
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput


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
    if (here.inputs, here.answer, here.origin) != (card.inputs, card.answer, card.origin):
        raise InvalidInput(
            f"{folder} is not what the server serves as {model}; name the server's own repository."
        )
    return folder / MODEL_FILE
