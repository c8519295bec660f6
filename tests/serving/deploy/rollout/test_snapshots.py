"""Snapshots with a new version in place of the old one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.serving.conftest import largest_channel
from tests.serving.deploy.rollout.models import of_weights, version
from tests.serving.repository.repositories import config_of
from tests.serving.variants import stripes, stripes_int8, variant_of

from regard.contract.manifest import write_manifest
from regard.contract.names import CONFIG_FILE, MODEL_FILE, OPERATORS_FILE
from regard.errors import InvalidInput
from regard.export.artifact import Artifact, read_artifact
from regard.serving.deploy.rollout.snapshots import (
    Addition,
    Snapshot,
    bytes_to_copy,
    prune,
    take_snapshot,
)
from regard.serving.repository import add, check_model
from regard.serving.repository.config import to_text
from regard.serving.repository.layout import model_folders
from regard.serving.repository.listing import find

Take = Callable[..., Snapshot]


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    folder = tmp_path / "deployment"
    folder.mkdir()
    return folder


@pytest.fixture
def take(deployment: Path, repository: Path) -> Take:
    """`take(artifact, source=..., **options)`: of the repository with `largest` and `colour`."""

    def run(
        artifact: Artifact, *, source: str = "repository", past: tuple[str, ...] = (), **options: object
    ) -> Snapshot:
        addition = Addition(**({"artifact": artifact, "name": artifact.card.name} | options))  # type: ignore[arg-type]
        return take_snapshot(deployment, repository, source, addition, past=past)

    return run


def test_the_new_version_is_alone_there_under_the_next_number(
    take: Take, biased: Artifact, repository: Path
) -> None:
    """With the names and settings of the old one; the repository and its other models are as they were."""
    config = config_of(repository / "largest")
    config.instance_group[0].count = 3
    (repository / "largest" / CONFIG_FILE).write_text(to_text(config))
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*") if path.is_file()}
    taken = take(biased)
    assert (taken.source, taken.before) == ("snapshots/1", 1)
    assert taken.added.endpoints == ("largest", "largest_image")
    assert find(taken.folder, "largest").versions == (2,)
    assert find(taken.folder, "colour").versions == (1,)
    assert (taken.added.folder / MODEL_FILE).read_bytes() == biased.model.read_bytes()
    assert config_of(taken.folder / "largest").instance_group[0].count == 3
    for folder in model_folders(taken.folder):
        check_model(taken.folder, folder.name)
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*") if path.is_file()} == before
    assert [path.name for path in taken.folder.parent.iterdir()] == ["1"]


def test_a_snapshot_is_not_the_repository_but_shares_files_with_the_snapshot_before(
    take: Take, biased: Artifact, largest: Artifact, repository: Path
) -> None:
    """The repository may change; a snapshot does not."""
    first = take(biased)
    second = take(largest, source="snapshots/1")
    third = second.folder / "colour" / "1" / MODEL_FILE
    assert third.samefile(first.folder / "colour" / "1" / MODEL_FILE)
    assert not third.samefile(repository / "colour" / "1" / MODEL_FILE)
    assert find(second.folder, "largest").versions == (3,)
    assert find(first.folder, "largest").versions == (2,)
    check_model(first.folder, "largest")


def test_a_new_model_comes_beside_the_others(take: Take, tmp_path: Path) -> None:
    taken = take(stripes(tmp_path / "stripes"))
    assert (taken.before, taken.promised) == (None, None)
    assert find(taken.folder, "stripes").versions == (1,)
    assert find(taken.folder, "largest").versions == (1,)


def test_a_variant_for_another_runtime_takes_the_place_of_the_model(
    take: Take, repository: Path, tmp_path: Path
) -> None:
    """A version beside the others could not; it is called as before and has the next number, and so has the
    way back.
    """
    artifact = stripes(tmp_path / "stripes")
    add(artifact, repository, endpoints="image")
    int8 = variant_of(artifact, "int8", precision="int8", graph=stripes_int8(artifact))
    taken = take(int8)
    entry = find(taken.folder, "stripes")
    assert (entry.versions, entry.endpoints) == ((2,), ("stripes_image",))
    assert entry.variant is not None
    assert entry.variant.precision == "int8"
    assert taken.promised == 0.99  # by its judgement
    back = take(artifact, source=taken.source)
    assert find(back.folder, "stripes").versions == (3,)
    assert find(back.folder, "stripes").variant is None
    check_model(back.folder, "stripes_image")


def test_the_agreement_of_versions_of_the_same_weights_is_promised(
    take: Take, repository: Path, largest: Artifact, tmp_path: Path
) -> None:
    add(of_weights(largest), repository)
    assert take(version(tmp_path / "same", bias=1)).promised == 1.0
    assert take(version(tmp_path / "others", bias=1, weights="6" * 64)).promised is None


def test_what_would_be_called_otherwise_is_refused_and_nothing_is_left(
    take: Take, deployment: Path, biased: Artifact
) -> None:
    inputs = (biased.card.input.model_copy(update={"max_batch": 2}),)
    other = Artifact(biased.folder, biased.card.model_copy(update={"inputs": inputs}), biased.sha256)
    with pytest.raises(InvalidInput, match="must be called as the old one"):
        take(other)
    assert [*(deployment / "snapshots").iterdir()] == []


def test_the_number_of_a_snapshot_that_is_gone_is_not_given_again(take: Take, biased: Artifact) -> None:
    assert take(biased, past=("repository", "snapshots/6", "snapshots/2")).source == "snapshots/7"


def test_pruning_keeps_what_a_colour_has(take: Take, biased: Artifact, deployment: Path) -> None:
    for _ in range(3):
        take(biased)
    prune(deployment, ["repository", "snapshots/2", None])
    assert [path.name for path in (deployment / "snapshots").iterdir()] == ["2"]


def test_the_room_that_it_takes(take: Take, biased: Artifact, deployment: Path, repository: Path) -> None:
    """What two endpoints share counts once, and what a snapshot has not at all."""
    found = bytes_to_copy(deployment, repository, "repository")
    graphs = sum(path.stat().st_size for path in repository.glob(f"*_image/1/{MODEL_FILE}"))
    assert graphs < found < sum(path.stat().st_size for path in repository.rglob("*") if path.is_file())
    assert bytes_to_copy(deployment, repository, take(biased).source) == 0


def test_libraries_of_operators_are_those_of_the_snapshot(take: Take, tmp_path: Path) -> None:
    artifact = largest_channel(tmp_path / "with library", bias=2)
    (artifact.folder / OPERATORS_FILE).write_bytes(b"a library")
    write_manifest(artifact.folder)
    taken = take(read_artifact(artifact.folder))
    (named,) = config_of(taken.folder / "largest").model_operations.op_library_filename
    assert named == "/deployment/snapshots/1/largest/2/operators.so"
