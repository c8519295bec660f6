"""The configurations that follow from Card and graph."""

import os
from pathlib import Path

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
    assert config.HasField("dynamic_batching")
    assert len(config.model_warmup) == 1
    text = config.parameters["card"].string_value
    assert card_from_json(text, source="the parameter") == colour.card.updated(certificates=(), tools={})


def test_configuration_of_a_segmenter(tmp_path: Path, largest: Artifact) -> None:
    add(largest, tmp_path / "repository")
    config = config_of(tmp_path / "repository" / "largest")
    assert [list(tensor.dims) for tensor in (*config.input, *config.output)] == [[-1, -1, 3], [-1, -1]]
    assert not config.output[0].label_filename
    assert not (tmp_path / "repository" / "largest" / "labels.txt").exists()
    ensemble = config_of(tmp_path / "repository" / "largest_image")
    assert [step.model_name for step in ensemble.ensemble_scheduling.step] == [
        "largest_preprocess",
        "largest",
    ]
    # the pixels between the steps are not exposed
    assert [tensor.name for tensor in ensemble.output] == ["label_map"]
