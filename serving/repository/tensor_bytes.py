"""How many bytes of tensors the models of a repository pass on at the same time."""

from pathlib import Path

from regard.contract.names import CARD_FILE, CONFIG_FILE
from regard.contract.reading import card_from_file
from regard.errors import RegardError
from regard.serving.repository.config import read_config
from regard.serving.repository.layout import model_folders


def tensor_bytes(repository: Path) -> int:
    """The largest batch of each instance, images of the Card's size and the answers to them; 0 for models
    without a Card, and for those that are refused later.
    """
    return sum(map(_of_endpoint, model_folders(repository)))


def _of_endpoint(folder: Path) -> int:
    try:
        card, config = card_from_file(folder / CARD_FILE), read_config(folder / CONFIG_FILE)
    except RegardError:
        return 0
    taken, batch = card.input, card.input.max_batch
    images = batch * taken.height * taken.width * taken.channels
    answers = card.answer.nbytes(batch, taken.height, taken.width)
    instances = sum(int(group.count) for group in config.instance_group)
    return instances * (images + answers)
