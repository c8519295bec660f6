"""A fault planted inside a Loop is told of by the layer that it is in."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.export.toys import toys
from tests.exports import Exports

from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact
from regard.export.proof.departure import first_departure
from regard.export.proof.trials import trials_of


@pytest.fixture(scope="module")
def captioner(exports: Exports, images: list[Pixels]) -> Artifact:
    network, card = toys()["caption"]
    return exports.of(network, card, images)


@pytest.mark.parametrize(
    ("weight", "layer"),
    [
        ("scores.bias", "scores (Linear)"),
        ("cell.weight_hh", "cell (GRUCell)"),
        ("embedding.weight", "embedding (Embedding)"),
        ("patches.bias", "patches (Conv2d)"),
    ],
)
def test_the_departing_layer_of_a_loop_is_named(
    weight: str, layer: str, captioner: Artifact, images: list[Pixels], tmp_path: Path
) -> None:
    network, _ = toys()["caption"]
    model = onnx.load(captioner.model)
    (constant,) = (each for each in model.graph.initializer if each.name == f"network.{weight}")
    values = numpy_helper.to_array(constant).copy()
    values += np.float32(0.05) * np.arange(len(values), dtype=np.float32).reshape(
        -1, *[1] * (values.ndim - 1)
    )
    constant.CopyFrom(numpy_helper.from_array(values + np.float32(0.01), constant.name))
    onnx.save(model, tmp_path / "model.onnx")
    inputs = trials_of(images, captioner.card)[0].inputs
    departure = first_departure(network, captioner.card, tmp_path / "model.onnx", inputs)
    assert departure is not None
    assert str(departure).startswith(layer)


def test_a_graph_as_it_was_exported_has_none(captioner: Artifact, images: list[Pixels]) -> None:
    network, card = toys()["caption"]
    for trial in trials_of(images, card)[:3]:
        assert first_departure(network, captioner.card, captioner.model, trial.inputs) is None


def test_the_departing_step_of_a_session_is_found(
    exports: Exports, images: list[Pixels], tmp_path: Path
) -> None:
    network, card = toys()["session"]
    artifact = exports.of(network, card, images)
    trial = trials_of(images, card)[0]
    assert first_departure(network, artifact.card, artifact.model, trial.inputs) is None
    model = onnx.load(artifact.model)
    (constant,) = (each for each in model.graph.initializer if each.name == "network.scores.weight")
    constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant) * 1.5, constant.name))
    onnx.save(model, tmp_path / "model.onnx")
    departure = first_departure(network, artifact.card, tmp_path / "model.onnx", trial.inputs)
    assert departure is not None
    assert departure.layer == "scores"
