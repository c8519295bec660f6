"""Variants in a repository: the configuration that NVIDIA's `openvino` backend takes, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.serving.repository.repositories import config_of, tree
from tests.serving.variants import stripes, stripes_int8, variant_of
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup
from typer.testing import CliRunner

from regard.contract.goldens import read_goldens
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.export.variant import read_artifact_or_variant
from regard.serving.bench.local_files import graph_of
from regard.serving.cli.app import app
from regard.serving.repository import add, check_model
from regard.serving.repository.config import to_text
from regard.serving.repository.listing import find
from regard.serving.repository.tensor_bytes import tensor_bytes


@pytest.fixture
def bf16(colour: Artifact) -> Artifact:
    return variant_of(colour, "bf16", precision="bf16")


@pytest.fixture
def int8(tmp_path: Path) -> Artifact:
    artifact = stripes(tmp_path / "stripes")
    return variant_of(artifact, "int8", precision="int8", graph=stripes_int8(artifact))


def parameters_of(config: ModelConfig) -> dict[str, str]:
    return {key: value.string_value for key, value in config.parameters.items() if key != "card"}


def test_a_configuration_for_nvidias_openvino_backend(tmp_path: Path, bf16: Artifact) -> None:
    """No max_batch_size, by which it fixes the batch; the CPU; streams and threads of all instances."""
    add(bf16, tmp_path / "repository", instances=3, threads=2)
    config = config_of(tmp_path / "repository" / "colour")
    assert (config.backend, config.max_batch_size, config.default_model_filename) == (
        "openvino",
        0,
        "model.onnx",
    )
    assert [list(tensor.dims) for tensor in (*config.input, *config.output)] == [[-1, 8, 8, 3], [-1, 3]]
    assert [(group.kind, group.count) for group in config.instance_group] == [
        (ModelInstanceGroup.KIND_CPU, 3)
    ]
    assert parameters_of(config) == {
        "HINT_BF16": "YES",
        "INFERENCE_NUM_THREADS": "6",
        "NUM_STREAMS": "3",
        "PERFORMANCE_HINT": "LATENCY",
    }
    assert list(config.model_warmup[0].inputs["image"].dims) == [1, 8, 8, 3]
    image = config_of(tmp_path / "repository" / "colour_image")
    assert (image.backend, image.max_batch_size, list(image.input[0].dims)) == ("regard_image", 8, [1])
    assert list(image.output[0].dims) == [3]
    assert parameters_of(image) == parameters_of(config) | {"model": "colour", "runtime": "openvino"}
    check_model(tmp_path / "repository", "colour")
    check_model(tmp_path / "repository", "colour_image")


def test_one_thread_for_each_instance_where_nothing_else_is_said(tmp_path: Path, int8: Artifact) -> None:
    add(int8, tmp_path / "repository", instances=1000)
    parameters = parameters_of(config_of(tmp_path / "repository" / "stripes"))
    assert parameters["INFERENCE_NUM_THREADS"] == parameters["NUM_STREAMS"] == "1000"
    assert "HINT_BF16" not in parameters


def test_the_files_of_a_version(tmp_path: Path, int8: Artifact, bf16: Artifact) -> None:
    """The variant's graph, or else the artifact's; its own answers to the artifact's goldens."""
    for variant, name in ((int8, "stripes"), (bf16, "colour")):
        add(variant, tmp_path / "repository", endpoints="image")
        version = tmp_path / "repository" / f"{name}_image" / "1"
        assert (version / "model.onnx").read_bytes() == variant.model.read_bytes()
        assert (version / "variant.json").read_bytes() == (variant.folder / "variant.json").read_bytes()
        assert variant.variant_of is not None
        for golden, own in zip(
            read_goldens(version / "goldens"), read_goldens(variant.variant_of / "goldens"), strict=True
        ):
            np.testing.assert_array_equal(golden.reference, own.reference)
        answers = (variant.folder / "answers.npz").read_bytes()
        assert (version / "goldens" / "answers.npz").read_bytes() == answers
    assert not (bf16.folder / "model.onnx").exists()
    entry = find(tmp_path / "repository", "stripes")
    assert (entry.proof, entry.max_batch, entry.variant is not None) == ("proven", 5, True)
    assert tensor_bytes(tmp_path / "repository") > 0


def test_batching_and_what_has_no_answers(tmp_path: Path, bf16: Artifact, colour: Artifact) -> None:
    repository = tmp_path / "repository"
    with pytest.raises(InvalidInput, match="runs in OpenVINO, which takes each request by itself"):
        add(bf16, repository, batching=True)
    add(bf16, repository, batching=False)
    with pytest.raises(InvalidInput, match="which takes each request by itself"):
        add(bf16, repository, batching=True)
    bare = variant_of(colour, "bare", precision="bf16", answers=False)
    with pytest.raises(InvalidInput, match=r"bare holds no answers\.npz"):
        add(bare, repository, name="bare")


def test_versions_of_one_model_share_its_runtime_and_precision(
    tmp_path: Path, bf16: Artifact, int8: Artifact, colour: Artifact
) -> None:
    repository = tmp_path / "repository"
    add(colour, repository)
    before = tree(repository)
    with pytest.raises(InvalidInput, match="onnxruntime, and this one is for openvino in bf16; add it under"):
        add(bf16, repository)
    assert tree(repository) == before
    add(bf16, repository, name="fast")
    with pytest.raises(InvalidInput, match="by openvino in bf16, and this one is for onnxruntime"):
        add(colour, repository, name="fast")
    with pytest.raises(InvalidInput, match="by openvino in bf16, and this one is for openvino in int8"):
        add(int8, repository, name="fast")
    assert add(bf16, repository, name="fast").version == 2


def test_a_precision_that_its_runtime_cannot_be_asked_for(tmp_path: Path, colour: Artifact) -> None:
    for runtime, precision, words in (
        ("openvino", "float32", "float32 is always ONNX Runtime's, since NVIDIA's `openvino` backend cannot"),
        ("onnxruntime", "bf16", "for onnxruntime in bf16, which is OpenVINO's alone"),
    ):
        pair: Any = {"runtime": runtime, "precision": precision}
        with pytest.raises(InvalidInput, match=words):
            add(Artifact(colour.folder, colour.card, colour.sha256, **pair), tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


def without_hint(config: ModelConfig) -> None:
    del config.parameters["HINT_BF16"]


def with_batches(config: ModelConfig) -> None:
    config.max_batch_size = 8


def other_backend(config: ModelConfig) -> None:
    config.backend = "onnxruntime"


EDITS: dict[str, tuple[Callable[[ModelConfig], None], str]] = {
    "hint": (without_hint, "1 is for openvino in bf16, the configuration says openvino in int8"),
    "batch": (with_batches, "says max_batch_size 8, the Card means 0"),
    "backend": (other_backend, "1 is for openvino in bf16, the configuration says onnxruntime"),
}


@pytest.mark.parametrize(("edit", "words"), EDITS.values(), ids=EDITS.keys())
def test_a_configuration_that_contradicts_the_variant(
    tmp_path: Path, bf16: Artifact, edit: Callable[[ModelConfig], None], words: str
) -> None:
    add(bf16, tmp_path / "repository")
    file = tmp_path / "repository" / "colour" / "config.pbtxt"
    config = config_of(file.parent)
    edit(config)
    file.write_text(to_text(config))
    with pytest.raises(InvalidInput, match=words):
        check_model(tmp_path / "repository", "colour")


def test_openvino_for_a_graph_in_float32(tmp_path: Path, colour: Artifact) -> None:
    """As somebody writes who wants the faster backend."""
    add(colour, tmp_path / "repository")
    file = tmp_path / "repository" / "colour" / "config.pbtxt"
    file.write_text(file.read_text().replace('"onnxruntime"', '"openvino"'))
    with pytest.raises(InvalidInput, match="computes in float32, and float32 is always ONNX Runtime's"):
        check_model(tmp_path / "repository", "colour")


def test_another_graph_than_the_one_that_was_judged(tmp_path: Path, int8: Artifact) -> None:
    from regard.contract.manifest import write_manifest

    add(int8, tmp_path / "repository", endpoints="tensor")
    version = tmp_path / "repository" / "stripes" / "1"
    onnx.save(onnx.load(version / "model.onnx", load_external_data=False), version / "other.onnx")
    other = onnx.load(version / "other.onnx")
    other.doc_string = "changed"
    (version / "other.onnx").unlink()
    onnx.save(other, version / "model.onnx")
    write_manifest(version)
    with pytest.raises(InvalidInput, match=r"model\.onnx is not the graph that its proof names"):
        check_model(tmp_path / "repository", "stripes")


def test_commands(tmp_path: Path, bf16: Artifact) -> None:
    repository = str(tmp_path / "repository")

    def regard(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--repository", repository], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    added = json.loads(regard("repo", "add", str(bf16.folder), "--name", "fast", "--json"))
    assert added["endpoints"] == ["fast", "fast_image"]
    (row,) = json.loads(regard("repo", "list", "--json"))
    assert (row["backend"], row["max_batch"], row["proof"]) == ("openvino", 8, "proven")
    page = json.loads(regard("show", "fast", "--json"))
    assert (page["proven"], page["settings"]) == (True, [])
    assert [variant["precision"] for variant in page["variants"]] == ["bf16"]


def test_a_variant_is_never_taken_unproven(tmp_path: Path, bf16: Artifact) -> None:
    arguments = ["repo", "add", str(bf16.folder), "--unproven", "--repository", str(tmp_path / "repository")]
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, InvalidInput)
    assert "is a variant, which is taken with its proof alone" in str(refused.exception)


def test_a_variant_that_is_pinned(bf16: Artifact) -> None:
    from regard.contract.digest import sha256

    digest = sha256(bf16.folder / "manifest.json")
    assert read_artifact_or_variant(bf16.folder, expect=digest) == bf16
    with pytest.raises(InvalidInput, match="bf16/manifest.json has SHA-256"):
        read_artifact_or_variant(bf16.folder, expect="0" * 64)


def test_a_load_test_in_onnx_runtime(tmp_path: Path, bf16: Artifact) -> None:
    add(bf16, tmp_path / "repository")
    with pytest.raises(InvalidInput, match="colour is served by openvino in bf16.* leave onnxruntime out"):
        graph_of(tmp_path / "repository", "colour", 1, bf16.card)
