"""A version of the image step as a folder: the step, regard's own preprocessing and the Card it follows."""

import shutil
from pathlib import Path

from regard.contract import preprocess
from regard.contract.card import Card
from regard.contract.names import CARD_FILE

SOURCES = {
    "model.py": Path(__file__).with_name("model.py"),
    "preprocess.py": Path(preprocess.__file__),
}


def write_step(folder: Path, card: Card) -> None:
    """Make the folder of one version."""
    folder.mkdir()
    for file, source in SOURCES.items():
        shutil.copyfile(source, folder / file)
    # where Python would cache bytecode; the server cannot be told not to, and a watching one would take the
    # cache for a change and reload
    (folder / "__pycache__").touch()
    (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")


def is_current(folder: Path) -> bool:
    """Whether a version decodes as this regard does; a file that is missing says no."""
    return all(
        (folder / file).is_file() and (folder / file).read_bytes() == source.read_bytes()
        for file, source in SOURCES.items()
    )
