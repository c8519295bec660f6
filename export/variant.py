"""Variants: other graphs or engines of an artifact's network, each in a folder of its own.

variants/<name>/variant.json    what it is, and its proof
variants/<name>/...             its files, among them `answers.npz`, its answers to the artifact's goldens
variants/<name>/model.plan      where one was built, the engine of its graph, and `plan.json`, its record
variants/<name>/manifest.json   their SHA-256, and that of the artifact's own manifest

A folder appears in one step, and nothing outside it changes.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regard.contract.digest import sha256
from regard.contract.manifest import check_files, write_manifest
from regard.contract.names import ENGINE_FILE, MANIFEST_FILE, MODEL_FILE, OPERATORS_FILE, VARIANTS
from regard.contract.plan import PLAN_FILE, plan_in
from regard.contract.variant import NAME_PATTERN, VARIANT_FILE, Variant, variant_in
from regard.contract.whole_folder import whole_folder
from regard.errors import InvalidInput
from regard.export.artifact import Artifact, check_pinned, read_artifact
from regard.export.proof.comparison import NotProven


@contextmanager
def adding_variant(artifact: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder for the files of a variant and its `variant.json`; when the block ends well it is
    checked and put in place, an earlier one of this name replaced. After a NotProven it stays as a draft.

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
    with whole_folder(target, files=earlier, keep=NotProven) as draft:
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


def read_artifact_or_variant(folder: Path, *, expect: str | None = None) -> Artifact:
    """Open what `regard export` wrote, or one of its variants.

    expect: SHA-256 that the folder's manifest must have.

    Raises:
        InvalidInput: as of `read_artifact` and `read_variant`.
    """
    is_variant = (folder / VARIANT_FILE).is_file()
    return (read_variant if is_variant else read_artifact)(folder, expect=expect)


def read_variant(folder: Path, *, expect: str | None = None) -> Artifact:
    """A variant that is an ONNX graph, under the Card of the artifact that it lies in, with certificates of
    its own.

    expect: SHA-256 that the variant's manifest must have, which pins the artifact as well.

    Raises:
        InvalidInput: as of `read_artifact` and `variants_of`; it is no such graph.
    """
    artifact = read_artifact(folder.resolve().parent.parent)
    variant = _checked(folder, artifact.folder)
    check_pinned(folder, expect)
    if variant.file not in (MODEL_FILE, None):
        raise InvalidInput(f"the variant {folder} is {variant.file}, which is no ONNX graph to run here")
    return Artifact(
        folder,
        variant.card_of(artifact.card),
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
    variant = variant_in(folder)
    if variant is None:
        raise InvalidInput(f"{folder} holds no {VARIANT_FILE}; make the variant again")
    if variant.name != name:
        raise InvalidInput(f"{folder} holds the variant {variant.name}; a folder is named after its variant")
    return variant


def _check(variant: Variant, folder: Path, artifact: Path) -> None:
    if not variant.proven:
        what = "failed its proof" if variant.certificates or variant.judgement else "has no proof"
        raise InvalidInput(f"the variant {folder} {what}; make it again")
    digest = sha256(_file_of(variant, folder, artifact))
    if any(found != digest for found in variant.proven_files):
        what = variant.file or f"the artifact's {MODEL_FILE}"
        raise InvalidInput(f"the proof of the variant {folder} is of another file than {what}")
    if variant.operators and variant.runtime != "onnxruntime":
        raise InvalidInput(
            f"the variant {folder} holds {', '.join(variant.operators)}, which ONNX Runtime alone runs, and "
            f"is for {variant.runtime}"
        )
    library = folder / OPERATORS_FILE
    if variant.operators_sha256 != (sha256(library) if library.is_file() else None):
        raise InvalidInput(f"{library} is not the library that the variant {folder} was proven with")
    _check_engine(variant, folder, digest)


def _check_engine(variant: Variant, folder: Path, graph_sha256: str) -> None:
    """Hold an engine against the graph beside it, and against its own proof where it has one."""
    plan, engine = plan_in(folder), folder / ENGINE_FILE
    if plan is None and not engine.is_file():
        return
    if plan is None or not engine.is_file():
        lacks = PLAN_FILE if plan is None else ENGINE_FILE
        raise InvalidInput(f"{folder} lacks {lacks} of an engine; build it again")
    if plan.graph_sha256 != graph_sha256:
        raise InvalidInput(
            f"the engine {engine} was built from another graph than its variant's; build it again"
        )
    if plan.precision != variant.precision:
        raise InvalidInput(
            f"the engine {engine} is in {plan.precision}, its variant in {variant.precision}; build it again"
        )
    if plan.certificates:
        digest = sha256(engine)
        if not plan.run or any(found.candidate_sha256 != digest for found in plan.certificates):
            raise InvalidInput(
                f"the proof of the engine {engine} is of another file, or failed; build it again"
            )


def _file_of(variant: Variant, folder: Path, artifact: Path) -> Path:
    return artifact / MODEL_FILE if variant.file is None else folder / variant.file
