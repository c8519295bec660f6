"""Variants: other graphs or engines of an artifact's network, each in a folder of its own.

variants/<name>/variant.json    what it is, and its proof
variants/<name>/...             its files, among them `answers.npz`, its answers to the artifact's goldens
variants/<name>/manifest.json   their SHA-256, and that of the artifact's own manifest

A folder appears in one step, and nothing outside it changes.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from regard.contract.certificate import Certificate
from regard.contract.digest import sha256
from regard.contract.judgement import Judgement
from regard.contract.manifest import check_files, write_manifest
from regard.contract.names import MANIFEST_FILE, MODEL_FILE, VARIANTS
from regard.contract.record import Record
from regard.contract.whole_folder import whole_folder
from regard.errors import InvalidInput
from regard.export.artifact import Artifact, Precision, Runtime, read_artifact
from regard.export.proof.comparison import ParityError

VARIANT_FILE = "variant.json"
NAME_PATTERN = r"[a-z0-9][a-z0-9_.-]{0,63}"


class Variant(Record):
    """A proven variant: by certificates where its numbers are the network's, by a judgement where another
    precision moves them.

    name: of its folder. runtime: what runs it. precision: what it computes in. file: the graph or engine in
    the folder; None for the artifact's own graph.
    """

    name: str = Field(pattern=f"^{NAME_PATTERN}$")
    runtime: Runtime = "onnxruntime"
    precision: Precision = "float32"
    file: str | None
    certificates: tuple[Certificate, ...] = ()
    judgement: Judgement | None = None

    @property
    def proven(self) -> bool:
        """Whether it has a proof, and all of it passed."""
        passed = [found.passed for found in self.certificates]
        if self.judgement is not None:
            passed.append(self.judgement.passed)
        return bool(passed) and all(passed)


@contextmanager
def adding_variant(artifact: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder for the files of a variant and its `variant.json`; when the block ends well it is
    checked and put in place, an earlier one of this name replaced. After a ParityError it stays as a draft.

    Raises:
        InvalidInput: a bad name, or the variant in the folder is not proven.
        ExportError: it cannot be written.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidInput(
            f"a variant's name is 1 to 64 lower-case letters, digits, '_', '-' or '.'; got {name!r}"
        )
    target = artifact / VARIANTS / name
    earlier = {path.name for path in target.iterdir()} if target.is_dir() else set()
    with whole_folder(target, files=earlier, keep=ParityError) as draft:
        yield draft
        _check(_read(draft, name), draft, artifact)
        write_manifest(draft, variant_of=sha256(artifact / MANIFEST_FILE))


def variants_of(artifact: Path) -> tuple[Variant, ...]:
    """The variants of an artifact by name, each held against its manifest and the artifact's.

    Raises:
        InvalidInput: one is not what was written, is of another artifact, or has no certificate that passed.
    """
    folders = sorted((artifact / VARIANTS).glob("[!.]*"))
    return tuple(_checked(folder, artifact) for folder in folders)


def read_variant(folder: Path) -> Artifact:
    """A variant that is an ONNX graph, under the Card of the artifact that it lies in, with certificates of
    its own.

    Raises:
        InvalidInput: as of `read_artifact` and `variants_of`; it is no such graph.
    """
    artifact = read_artifact(folder.resolve().parent.parent)
    variant = _checked(folder, artifact.folder)
    if variant.file not in (MODEL_FILE, None):
        raise InvalidInput(f"the variant {folder} is {variant.file}, which is no ONNX graph to run here")
    return Artifact(
        folder,
        artifact.card.updated(certificates=[found.model_dump() for found in variant.certificates]),
        sha256(_file_of(variant, folder, artifact.folder)),
        runtime=variant.runtime,
        precision=variant.precision,
        variant_of=artifact.folder,
    )


def _checked(folder: Path, artifact: Path) -> Variant:
    manifest = check_files(folder)
    if manifest.variant_of != sha256(artifact / MANIFEST_FILE):
        raise InvalidInput(f"{folder} is a variant of another artifact; make it again from {artifact}")
    variant = _read(folder, folder.name)
    _check(variant, folder, artifact)
    return variant


def _read(folder: Path, name: str) -> Variant:
    path = folder / VARIANT_FILE
    try:
        variant = Variant.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}; make the variant again") from None
    except ValidationError as error:
        raise InvalidInput(
            f"{path} is damaged ({error.errors()[0]['msg']}); make the variant again"
        ) from None
    if variant.name != name:
        raise InvalidInput(f"{folder} holds the variant {variant.name}; a folder is named after its variant")
    return variant


def _check(variant: Variant, folder: Path, artifact: Path) -> None:
    if not variant.proven:
        what = "failed its proof" if variant.certificates or variant.judgement else "has no proof"
        raise InvalidInput(f"the variant {folder} {what}; make it again")
    digest = sha256(_file_of(variant, folder, artifact))
    proven = [found.candidate_sha256 for found in variant.certificates]
    if variant.judgement is not None:
        proven.append(variant.judgement.variant_sha256)
    if any(found != digest for found in proven):
        what = variant.file or f"the artifact's {MODEL_FILE}"
        raise InvalidInput(f"the proof of the variant {folder} is of another file than {what}")


def _file_of(variant: Variant, folder: Path, artifact: Path) -> Path:
    return artifact / MODEL_FILE if variant.file is None else folder / variant.file
