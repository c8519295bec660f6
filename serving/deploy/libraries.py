"""The libraries of operators of a snapshot, which is mounted elsewhere than the repository."""

from pathlib import Path, PurePosixPath

from regard.contract.names import CARD_FILE, CONFIG_FILE
from regard.contract.whole_file import write_text
from regard.serving.repository.config import read_config, to_text
from regard.serving.repository.layout import model_folders
from regard.serving.repository.op_library import mount_elsewhere


def mount_libraries(draft: Path, mount: PurePosixPath) -> None:
    """Let the configurations of a snapshot name the libraries in it.

    mount: where the server will find the snapshot.
    """
    for folder in model_folders(draft):
        config = read_config(folder / CONFIG_FILE)
        if config.HasField("model_operations") and (folder / CARD_FILE).is_file():
            mount_elsewhere(config, mount)
            write_text(folder / CONFIG_FILE, to_text(config))
