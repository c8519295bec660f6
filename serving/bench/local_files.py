"""The graph behind a served model, for running it in this process."""

from pathlib import Path

from regard.contract.card import Card
from regard.contract.names import CARD_FILE, MODEL_FILE
from regard.contract.reading import card_from_file
from regard.contract.variant import variant_in
from regard.errors import InvalidInput
from regard.serving.repository.layout import endpoints_of


def graph_of(repository: Path, model: str, version: int, card: Card) -> Path:
    """The ONNX file of a served model's version.

    Raises:
        InvalidInput: the repository does not hold it, holds another network under this name, or one that
            ONNX Runtime does not run.
    """
    folders = [repository / endpoint / str(version) for endpoint in endpoints_of(model)]
    folder = next((each for each in folders if (each / MODEL_FILE).is_file()), None)
    if folder is None:
        raise InvalidInput(
            f"{repository} holds no {model}/{version}/model.onnx, which the comparison needs; "
            "name the server's own repository."
        )
    variant = variant_in(folder)
    if variant is not None and variant.runtime != "onnxruntime":
        raise InvalidInput(
            f"{model} is served by {variant.runtime} in {variant.precision}, and ONNX Runtime would make "
            "another model of its graph; leave onnxruntime out, or hold it against its artifact with: "
            "regard compare"
        )
    beside = folder / CARD_FILE
    here = card_from_file(beside if beside.is_file() else folder.parent / CARD_FILE)
    if (here.inputs, here.answer, here.origin) != (card.inputs, card.answer, card.origin):
        raise InvalidInput(
            f"{folder} is not what the server serves as {model}; name the server's own repository."
        )
    return folder / MODEL_FILE
