"""Models that an earlier regard laid out: listed, removed, not added to, brought to the present layout."""

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.serving.repository.former_layout import add_as_before
from tests.serving.repository.repositories import config_of, tree
from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup

from regard.contract.reading import card_from_file
from regard.contract.whole_folder import swap
from regard.errors import InvalidInput, UnknownName
from regard.export.artifact import Artifact
from regard.serving.repository import add, check_model, drafts, listing, remove, renew
from regard.serving.repository.config import to_text
from regard.serving.show import page_of


@pytest.fixture
def former(tmp_path: Path, largest: Artifact, biased: Artifact) -> Path:
    """A repository with `largest` in two versions, as before."""
    add_as_before(largest, biased, repository=tmp_path / "repository", name="largest")
    return tmp_path / "repository"


def folders(repository: Path) -> set[str]:
    return {path.name for path in repository.iterdir()}


def test_a_former_model_is_listed_and_removed(former: Path, largest: Artifact) -> None:
    (entry,) = listing(former)
    assert (entry.name, entry.versions) == ("largest", (1, 2))
    assert entry.endpoints == ("largest", "largest_image")
    remove(former, "largest", version=1)
    assert (former / "largest_image" / "1").is_dir()  # the ensemble's own
    assert listing(former)[0].versions == (2,)
    remove(former, "largest")
    assert folders(former) == set()


def test_the_card_of_a_former_model_follows_its_newest_version(former: Path) -> None:
    (former / "largest" / "1" / "card.json").write_text(
        (former / "largest" / "1" / "card.json").read_text().replace("tests:largest_channel", "tests:first")
    )
    remove(former, "largest", version=2)
    for endpoint in ("largest", "largest_image"):
        assert "tests:first" in config_of(former / endpoint).parameters["card"].string_value
    assert not (former / "largest_image" / "card.json").exists()


def test_a_former_model_takes_no_new_version(former: Path, largest: Artifact) -> None:
    before = tree(former)
    with pytest.raises(InvalidInput, match="as an earlier regard left it.*: regard repo renew largest"):
        add(largest, former)
    assert tree(former) == before


def test_renewed_in_place(former: Path, largest: Artifact, biased: Artifact) -> None:
    graphs = {version: (former / "largest" / version / "model.onnx").read_bytes() for version in "12"}
    assert renew(former, "largest") == ("largest",)
    assert folders(former) == {"largest", "largest_image"}
    assert [path.name for path in former.parent.iterdir() if path.name.startswith(".")] == []
    for version, graph in graphs.items():
        for endpoint in ("largest", "largest_image"):
            file = former / endpoint / version / "model.onnx"
            assert file.read_bytes() == graph
            assert file.samefile(former / "largest" / version / "model.onnx")
            card = card_from_file(former / endpoint / version / "card.json")
            assert (card.inputs, card.answer) == (largest.card.inputs, largest.card.answer)
            assert '"schema_version": 2' in (former / endpoint / version / "card.json").read_text()
            check_model(former, endpoint)
    image = config_of(former / "largest_image")
    assert (image.name, image.backend, image.platform) == ("largest_image", "regard_image", "")
    assert image.parameters["model"].string_value == "largest"
    assert renew(former) == ()
    assert add(largest, former).version == 3
    remove(former, "largest", version=1)
    assert listing(former)[0].versions == (2, 3)


def test_what_the_operator_set_is_kept(former: Path) -> None:
    config = former / "largest" / "config.pbtxt"
    text = config.read_text().replace("count: 1", "count: 3 kind: KIND_CPU")
    text = text.replace("dynamic_batching {", "dynamic_batching { default_queue_policy { max_queue_size: 9 }")
    text = text.replace("optimization {", "optimization { input_pinned_memory { enable: false }")
    more = 'version_policy { all {} }\nparameters { key: "mine" value { string_value: "7" } }\n'
    config.write_text(text + more)
    ensemble = former / "largest_image" / "config.pbtxt"
    theirs = 'response_cache { enable: true }\nparameters { key: "theirs" value { string_value: "8" } }\n'
    ensemble.write_text(ensemble.read_text() + theirs)
    renew(former)
    model, image = config_of(former / "largest"), config_of(former / "largest_image")
    for each in (model, image):
        assert each.version_policy.HasField("all")
        assert not each.optimization.input_pinned_memory.enable
        assert list(each.dynamic_batching.preferred_batch_size) == [4]
        assert each.dynamic_batching.default_queue_policy.max_queue_size == 9
        assert each.parameters["mine"].string_value == "7"
        assert each.parameters["intra_op_thread_count"] == model.parameters["intra_op_thread_count"]
        (group,) = each.instance_group
        assert (group.kind, group.count) == (ModelInstanceGroup.KIND_CPU, 3)
    assert image.response_cache.enable
    assert image.parameters["theirs"].string_value == "8"


def test_a_file_of_another_backend_is_left_to_it(former: Path) -> None:
    config = former / "largest" / "config.pbtxt"
    config.write_text(config.read_text().replace('"onnxruntime"', '"tensorrt"'))
    renew(former)
    assert config_of(former / "largest_image").parameters["compute"].string_value == "model"


def test_a_card_that_is_written_otherwise_is_written_again(tmp_path: Path, colour: Artifact) -> None:
    """As a Card of an earlier schema would be."""
    repository = tmp_path / "repository"
    add(colour, repository)
    card = repository / "colour" / "1" / "card.json"
    compact = colour.card.model_dump_json()
    card.write_text(compact)  # also that of the other endpoint: one file
    assert renew(repository) == ("colour",)
    assert card.read_text() == colour.card.to_json()
    assert (repository / "colour_image" / "1" / "card.json").read_text() == colour.card.to_json()


def test_float32_on_a_gpu_is_brought_to_configurations_of_an_earlier_regard(
    tmp_path: Path, colour: Artifact
) -> None:
    """Which said nothing of CUDA; `regard show` does not take that for the operator's will."""
    repository = tmp_path / "repository"
    add(colour, repository)
    files = [repository / endpoint / "config.pbtxt" for endpoint in ("colour", "colour_image")]
    written = [file.read_text() for file in files]
    for file in files:
        config = config_of(file.parent)
        config.ClearField("optimization")
        file.write_text(to_text(config))
    assert page_of("colour", repository).settings == ()
    assert renew(repository) == ("colour",)
    assert [file.read_text() for file in files] == written
    for file in files:
        file.write_text(file.read_text().replace('value: "0"', 'value: "1"'))
    settings = page_of("colour", repository).settings
    assert ["use_tf32" in setting for setting in settings] == [True, True]
    assert renew(repository) == ()


def test_every_model_of_ours_or_one(tmp_path: Path, largest: Artifact, colour: Artifact) -> None:
    repository = tmp_path / "repository"
    for name in ("one", "two"):
        add_as_before(largest, repository=repository, name=name)
    add(colour, repository)
    (repository / "theirs" / "1").mkdir(parents=True)
    (repository / "theirs" / "config.pbtxt").write_text('name: "theirs" backend: "python"')
    with pytest.raises(UnknownName, match="no model named 'tow'"):
        renew(repository, "tow")
    with pytest.raises(InvalidInput, match="not added by regard"):
        renew(repository, "theirs")
    assert renew(repository, "two") == ("two",)
    assert (repository / "one_preprocess").is_dir()
    assert renew(repository) == ("one",)
    assert folders(repository) == {"one", "one_image", "two", "two_image", "colour", "colour_image", "theirs"}


@pytest.mark.parametrize("failing", ["writing", "the second model", "the last rename"])
def test_whole_or_not_at_all(
    tmp_path: Path, largest: Artifact, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    repository = tmp_path / "repository"
    for name in ("one", "two"):
        add_as_before(largest, repository=repository, name=name)
    before = tree(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "model.onnx")

    rename = os.rename
    if failing == "writing":
        monkeypatch.setattr(os, "link", full)
        monkeypatch.setattr(shutil, "copyfile", full)
    elif failing == "the second model":
        monkeypatch.setattr(
            sys.modules["regard.serving.repository.renew"],  # whose name leads to the function in it
            "swap",
            lambda one, other: full() if one.name == "two_image" else swap(one, other),
        )
    else:
        monkeypatch.setattr(
            drafts.os,
            "rename",
            lambda one, other: full() if Path(other).name == "two_preprocess" else rename(one, other),
        )
    with pytest.raises(InvalidInput, match="No space left on device"):
        renew(repository)
    monkeypatch.undo()
    assert tree(tmp_path) == before
    assert renew(repository) == ("one", "two")
