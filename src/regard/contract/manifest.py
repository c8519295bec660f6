"""The manifest of a folder: the SHA-256 of every file in it.

It shows that files are those that were written together, not who wrote them: whoever can change a file can
change the manifest as well, unless its own SHA-256 is known from elsewhere.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from regard.contract.digest import sha256
from regard.contract.names import MANIFEST_FILE, VARIANTS
from regard.contract.record import Record, Sha256
from regard.contract.whole_file import write_text
from regard.errors import InvalidInput

SCHEMA = 1


class Manifest(Record):
    """Files by their paths below the folder, with slashes; variants have manifests of their own."""

    schema_version: Literal[1] = 1
    files: dict[str, Sha256] = Field(description="SHA-256 by path")
    variant_of: Sha256 | None = Field(default=None, description="a variant's: the artifact's own manifest")


def write_manifest(folder: Path, *, variant_of: str | None = None) -> None:
    """Write the manifest of what a folder holds now."""
    files = {name: sha256(folder / name) for name in _files_in(folder)}
    text = Manifest(files=files, variant_of=variant_of).model_dump_json(indent=2)
    write_text(folder / MANIFEST_FILE, text + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read a folder's manifest.

    Raises:
        InvalidInput: there is none, it is damaged, or of a later schema.
    """
    path = folder / MANIFEST_FILE
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"cannot read {path}: {error.strerror}. Without its manifest a folder is a draft, or of an "
            "earlier regard; export it again"
        ) from None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        if any(fault["loc"] == ("schema_version",) for fault in error.errors()):
            raise InvalidInput(
                f"{path} is of another schema than {SCHEMA}, which this regard reads; install a newer one"
            ) from None
        raise InvalidInput(f"{path} is damaged ({error.errors()[0]['msg']}); export it again") from None


def check_files(folder: Path, *, but: Collection[str] = ()) -> Manifest:
    """Hold what a folder contains against its manifest, which is returned.

    but: files that are not looked at.

    Raises:
        InvalidInput: as of `read_manifest`; a file is missing, has other contents, or is not listed.
    """
    manifest = read_manifest(folder)
    found = _files_in(folder)
    for name in sorted((manifest.files.keys() | set(found)) - set(but)):
        if name not in found:
            raise InvalidInput(f"{folder / name} is missing, which {MANIFEST_FILE} lists; export it again")
        if name not in manifest.files:
            raise InvalidInput(f"{folder / name} is no file that {MANIFEST_FILE} lists; take it away")
        digest = sha256(folder / name)
        if digest != manifest.files[name]:
            raise InvalidInput(
                f"{folder / name} is not the file that was written there: its SHA-256 is {digest[:12]}..., "
                f"in {MANIFEST_FILE} {manifest.files[name][:12]}...; export it again"
            )
    return manifest


def _files_in(folder: Path) -> list[str]:
    """Every file but the manifest itself and those of variants, by path."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(
        name.as_posix() for name in names if name.parts[0] not in (MANIFEST_FILE, VARIANTS, "__pycache__")
    )
