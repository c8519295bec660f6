"""The configurations that follow from Card and graph."""

import os
from pathlib import Path

import pytest
from tests.serving.repository.repositories import config_of
from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup

from regard.contract.reading import card_from_json
from regard.export.artifact import Artifact
from regard.serving.repository import add
from regard.serving.repository.config import MAX_INSTANCES


def test_configuration_of_a_classifier(tmp_path: Path, colour: Artifact) -> None:
    add(colour, tmp_path / "repository")
    config = config_of(tmp_path / "repository" / "colour")
    cores = len(os.sched_getaffinity(0))
    assert (config.name, config.backend, config.max_batch_size) == ("colour", "onnxruntime", 8)
    assert [(tensor.name, list(tensor.dims)) for tensor in config.input] == [("image", [8, 8, 3])]
    assert [(tensor.name, list(tensor.dims), tensor.label_filename) for tensor in config.output] == [
        ("probabilities", [3], "labels.txt")
    ]
    (group,) = config.instance_group
    assert (group.kind, group.count, list(group.gpus)) == (
        ModelInstanceGroup.KIND_AUTO,
        min(cores, MAX_INSTANCES),
        [],
    )
    assert config.parameters["intra_op_thread_count"].string_value == str(max(1, cores // MAX_INSTANCES))
    assert len(config.model_warmup) == 1
    text = config.parameters["card"].string_value
    assert card_from_json(text, source="the parameter") == colour.card.updated(certificates=(), tools={})


def test_configuration_of_a_segmenter(tmp_path: Path, largest: Artifact) -> None:
    add(largest, tmp_path / "repository")
    config = config_of(tmp_path / "repository" / "largest")
    assert [list(tensor.dims) for tensor in (*config.input, *config.output)] == [[-1, -1, 3], [-1, -1]]
    assert not config.output[0].label_filename
    assert not (tmp_path / "repository" / "largest" / "labels.txt").exists()
    image = config_of(tmp_path / "repository" / "largest_image")
    assert [(tensor.name, list(tensor.dims)) for tensor in image.input] == [("encoded_image", [1])]
    assert list(image.output) == list(config.output)


def test_configuration_of_the_endpoint_for_images(tmp_path: Path, colour: Artifact) -> None:
    """As the endpoint for tensors in all but what goes in and who computes."""
    add(colour, tmp_path / "repository", instances=3, batching=True)
    model, image = (config_of(tmp_path / "repository" / name) for name in ("colour", "colour_image"))
    assert (image.name, image.backend) == ("colour_image", "regard_image")
    assert not image.model_warmup
    assert image.parameters["model"].string_value == "colour"
    assert set(image.parameters) - set(model.parameters) == {"model"}
    for field in ("output", "instance_group", "dynamic_batching", "max_batch_size", "default_model_filename"):
        assert getattr(image, field) == getattr(model, field)
    for key, value in model.parameters.items():
        assert image.parameters[key] == value


def test_an_endpoint_for_images_alone_computes_on_the_cpu(tmp_path: Path, colour: Artifact) -> None:
    add(colour, tmp_path / "repository", endpoints="image", instances=2)
    config = config_of(tmp_path / "repository" / "colour_image")
    (group,) = config.instance_group
    assert (group.kind, group.count) == (ModelInstanceGroup.KIND_CPU, 2)
    assert "model" not in config.parameters
    add(colour, tmp_path / "repository", instances=3)
    (group,) = config_of(tmp_path / "repository" / "colour_image").instance_group
    assert (group.kind, group.count) == (ModelInstanceGroup.KIND_CPU, 3)


def test_threads_are_set_apart_from_instances(tmp_path: Path, colour: Artifact) -> None:
    """By a first version and by a later one, which leaves the instances alone."""
    for threads in (3, 5):
        add(colour, tmp_path / "repository", instances=2 if threads == 3 else None, threads=threads)
        for endpoint in ("colour", "colour_image"):
            config = config_of(tmp_path / "repository" / endpoint)
            assert config.parameters["intra_op_thread_count"].string_value == str(threads)
            assert config.instance_group[0].count == 2


@pytest.mark.parametrize("batching", [None, True, False])
@pytest.mark.parametrize("gpu", [True, False])
def test_requests_are_batched_where_there_is_a_gpu_or_as_told(
    tmp_path: Path, colour: Artifact, monkeypatch: pytest.MonkeyPatch, gpu: bool, batching: bool | None
) -> None:
    (tmp_path / "nvidia").touch()
    sign = tmp_path / ("nvidia" if gpu else "nothing")
    monkeypatch.setattr("regard.serving.machine.gpus.SIGNS", (str(tmp_path / "absent"), str(sign)))
    add(colour, tmp_path / "repository", batching=batching)
    for endpoint in ("colour", "colour_image"):
        config = config_of(tmp_path / "repository" / endpoint)
        assert config.HasField("dynamic_batching") is (gpu if batching is None else batching)
        # it makes single requests wait, see docs/decisions/0029
        assert not config.dynamic_batching.HasField("default_queue_policy")
