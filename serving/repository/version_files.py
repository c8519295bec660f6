"""The files of a version: a graph and the library of its operators, its Card, its goldens, what kind of
variant it is where it is one, what a stream of words runs, and the engine that was built of the graph where
that is to serve.
"""

import shutil
from pathlib import Path

import onnx

from regard.contract.goldens import ANSWERS_FILE
from regard.contract.manifest import write_manifest
from regard.contract.names import CARD_FILE, ENCODE_FILE, GOLDENS, MODEL_FILE, OPERATORS_FILE, STEP_FILE
from regard.contract.variant import VARIANT_FILE
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.export.graph.step_graphs import StepGraphs
from regard.serving.repository.drafts import link_folder
from regard.serving.repository.engine_checks import ENGINE_FILES


def write_version(
    artifact: Artifact, folders: list[Path], *, engine: bool, steps: StepGraphs | None = None
) -> None:
    """Write the same files to every folder, once on the disk; with the artifact's engine, or without.

    steps: what a stream of words runs, where the model has one.

    Raises:
        InvalidInput: the artifact is a variant without answers of its own.
    """
    first, *others = folders
    first.mkdir()
    shutil.copyfile(artifact.model, first / MODEL_FILE)
    if artifact.operators is not None:
        shutil.copyfile(artifact.operators, first / OPERATORS_FILE)
    (first / CARD_FILE).write_text(artifact.card.to_json(), encoding="utf-8")
    goldens = (artifact.variant_of or artifact.folder) / GOLDENS
    if goldens.is_dir():
        shutil.copytree(goldens, first / GOLDENS)
    if artifact.variant_of is not None:
        shutil.copyfile(artifact.folder / VARIANT_FILE, first / VARIANT_FILE)
        shutil.copyfile(_answers_of(artifact), first / GOLDENS / ANSWERS_FILE)
    for file in ENGINE_FILES if engine else ():
        shutil.copyfile(artifact.folder / file, first / file)
    if steps is not None:
        onnx.save(steps.encode, first / ENCODE_FILE)
        onnx.save(steps.step, first / STEP_FILE)
    write_manifest(first)
    for other in others:
        link_folder(first, other)


def _answers_of(variant: Artifact) -> Path:
    """The variant's own answers to the artifact's goldens."""
    answers = variant.folder / ANSWERS_FILE
    if not answers.is_file():
        raise InvalidInput(
            f"{variant.folder} holds no {ANSWERS_FILE}, by which a server checks the variant as it loads it; "
            "make the variant again"
        )
    return answers
