"""A graph with operators of a user's own, served with their library by the real server at both endpoints."""

import io
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.docs.blocks import ROOT
from tests.own_operator import OwnOperator
from tests.serving.conftest import Infer
from tests.serving.repository.repositories import config_of

from regard.contract.names import IMAGE
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.export.onnx_import import import_onnx
from regard.export.ops_variant import add_ops_variant
from regard.export.sessions.open_artifact import open_artifact
from regard.export.variant import read_variant
from regard.serving.repository import add, check_model, remove
from regard.serving.repository.config import to_text
from regard.serving.repository.op_library import MOUNT
from regard.serving.triton.server import EmbeddedTriton


@pytest.fixture(scope="module")
def imported(place_gate: OwnOperator, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The network with a node that has no body: without the library nothing computes it."""
    folder = tmp_path_factory.mktemp("imported")
    path, card = place_gate.bare(folder / "bare.onnx"), place_gate.card.updated(name="bare")
    return import_onnx(
        path, card, folder / "artifact", images=place_gate.images, op_library=place_gate.library
    ).artifact


@pytest.fixture(scope="module")
def variant(place_gate: OwnOperator, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("variant") / "gated"
    shutil.copytree(place_gate.artifact.folder, folder)
    artifact = Artifact(folder, place_gate.artifact.card, place_gate.artifact.sha256)
    made = add_ops_variant(
        artifact, place_gate.network, images=place_gate.images, op_library=place_gate.library
    )
    return read_variant(made.folder)


def test_both_endpoints_answer_by_the_library(
    place_gate: OwnOperator,
    imported: Artifact,
    variant: Artifact,
    tmp_path: Path,
    embedded: Callable[..., EmbeddedTriton],
    connect: Callable[[str], AbstractContextManager[Infer]],
) -> None:
    for artifact in (imported, variant):
        add(artifact, tmp_path / "repository", instances=1)
    pixels = place_gate.card.input.fit(place_gate.images[0])
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    (expected,) = open_artifact(place_gate.artifact, threads=1).run(("probabilities",), {IMAGE: pixels[None]})
    encoded = np.array([[file.getvalue()]], dtype=object)
    with embedded(tmp_path / "repository") as server, connect(server.grpc_url) as infer:
        for name in ("bare", "gated"):
            by_tensors = infer(name, pixels[None])
            by_file = infer(f"{name}_image", encoded, input="encoded_image")
            for found in (by_tensors, by_file):
                np.testing.assert_allclose(found.as_numpy("probabilities"), expected, atol=1e-6)


def libraries(repository: Path, name: str) -> list[str]:
    return [
        library
        for endpoint in (name, f"{name}_image")
        for library in config_of(repository / endpoint).model_operations.op_library_filename
    ]


def test_the_configuration_names_the_newest_versions_library(
    place_gate: OwnOperator, variant: Artifact, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    add(place_gate.artifact, repository)
    assert libraries(repository, "gated") == []
    add(variant, repository)
    named = ["/models/gated/2/operators.so", "/models/gated_image/2/operators.so"]
    assert libraries(repository, "gated") == named
    assert (repository / "gated" / "2" / "operators.so").read_bytes() == place_gate.library.read_bytes()
    add(place_gate.artifact, repository)
    assert libraries(repository, "gated") == named  # of version 2, which may be served still
    check_model(repository, "gated")
    check_model(repository, "gated_image")
    remove(repository, "gated", version=2)
    assert libraries(repository, "gated") == []
    check_model(repository, "gated")


def test_the_path_is_where_compose_mounts_the_repository() -> None:
    mounted = re.search(
        r"source: ./model_repository\s+target: (\S+)", (ROOT / "docker-compose.yml").read_text()
    )
    assert mounted is not None
    assert mounted[1] == str(MOUNT)


def test_a_configuration_without_the_library_is_refused(imported: Artifact, tmp_path: Path) -> None:
    add(imported, tmp_path / "repository")
    file = tmp_path / "repository" / "bare" / "config.pbtxt"
    config = config_of(file.parent)
    config.model_operations.op_library_filename[0] = "/srv/triton/bare/1/operators.so"
    file.write_text(to_text(config))
    check_model(tmp_path / "repository", "bare")  # where it is mounted is the operator's affair
    config.ClearField("model_operations")
    file.write_text(to_text(config))
    with pytest.raises(InvalidInput, match=r"names no library .* versions have bare/1/operators\.so"):
        check_model(tmp_path / "repository", "bare")


def test_a_changed_library_is_refused(imported: Artifact, tmp_path: Path) -> None:
    add(imported, tmp_path / "repository")
    with (tmp_path / "repository" / "bare" / "1" / "operators.so").open("ab") as file:
        file.write(b"more")
    with pytest.raises(InvalidInput, match=r"operators\.so is not the file that was written there"):
        check_model(tmp_path / "repository", "bare")
