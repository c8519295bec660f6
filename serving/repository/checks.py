"""What may be served."""

from pathlib import Path

from regard.contract.names import CONFIG_FILE
from regard.errors import InvalidInput
from regard.serving.repository.config import read_config
from regard.serving.repository.integrity import check_endpoint
from regard.serving.repository.layout import model_folders, versions_in


def check_repository(repository: Path) -> None:
    """Refuse a folder that is not a model repository.

    Raises:
        InvalidInput: it does not exist, is a file, or holds folders that are no models.
    """
    if not repository.is_dir():
        what = "is a file" if repository.exists() else "does not exist"
        raise InvalidInput(
            f"{repository} {what}; a model repository is a folder that `regard repo add` makes and fills"
        )
    for folder in model_folders(repository):
        if not (folder / CONFIG_FILE).is_file():
            raise InvalidInput(
                f"{repository} is not a model repository: its folder {folder.name} has no {CONFIG_FILE}; "
                "name a repository, or a new folder for `regard repo add` to make"
            )


def check_servable(repository: Path, *, may_be_empty: bool) -> None:
    """Refuse what a server could serve nothing of; each model has checks of its own, `check_model`.

    Raises:
        InvalidInput: not a repository, or one without models.
    """
    if not repository.is_dir() or not any(map(_has_config, model_folders(repository))):
        check_repository(repository)
    if not may_be_empty and not model_folders(repository):
        raise InvalidInput(f"{repository} holds no model; add one with: regard repo add")


def check_model(repository: Path, name: str) -> None:
    """Refuse a model's folder that the server could not read, or that is not what regard added.

    Raises:
        InvalidInput: its configuration is missing, cannot be read or is of another model, it has no version,
            or as of `check_endpoint`.
    """
    folder = repository / name
    if not (folder / CONFIG_FILE).is_file():
        raise InvalidInput(f"{folder} has no {CONFIG_FILE}; copy the whole model there, or take it away")
    config = read_config(folder / CONFIG_FILE)
    if config.name not in ("", name):
        raise InvalidInput(
            f"{folder / CONFIG_FILE} is of a model named {config.name!r}; a model is named as its folder"
        )
    if not versions_in(folder):
        raise InvalidInput(
            f"{folder} has no version; put its files into a folder there that is named 1, 2, ..."
        )
    check_endpoint(repository, name)


def _has_config(folder: Path) -> bool:
    try:
        return (folder / CONFIG_FILE).is_file()
    except OSError:  # not ours to read
        return False
