import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.export.conftest import Exported

from regard.contract.names import IMAGE
from regard.contract.preprocess import Pixels
from regard.errors import ExportError
from regard.export.proof.certificate import certify, served_graph_runner
from regard.export.proof.comparison import ParityError
from regard.export.proof.departure import first_departure
from regard.export.proof.image_trials import image_batch
from regard.export.proof.network_runner import NetworkRunner
from regard.export.proof.trials import trials_of


def change(path: Path, tensor: str, fault: Callable[[np.ndarray], np.ndarray]) -> None:
    """Plant a fault in one constant of a graph."""
    model = onnx.load(path)
    found = next(initializer for initializer in model.graph.initializer if initializer.name == tensor)
    found.CopyFrom(numpy_helper.from_array(fault(numpy_helper.to_array(found).copy()), tensor))
    onnx.save(model, path)


def one_wrong_weight(weights: np.ndarray) -> np.ndarray:
    weights.flat[0] += 0.2
    return weights


def one_nan(weights: np.ndarray) -> np.ndarray:
    weights.flat[0] = math.nan
    return weights


def failure(exported: Exported, path: Path, images: list[Pixels]) -> ParityError:
    with pytest.raises(ParityError) as caught:
        certify(
            NetworkRunner(exported.network, exported.card, explain="weights"),
            served_graph_runner(path, exported.card),
            trials_of(images, exported.card),
            images_from="samples",
        )
    return caught.value


def departing_layer(exported: Exported, path: Path, images: list[Pixels], error: ParityError) -> str:
    batch = image_batch(images, error.shape, exported.card.input)
    departure = first_departure(exported.network, exported.card, path, {IMAGE: batch})
    assert departure is not None
    return departure.layer


def test_the_certificate_covers_what_was_never_traced(exported: Exported) -> None:
    scores, attention = exported.card.certificates
    for certificate in (scores, attention):
        assert certificate.passed
        assert certificate.images == "samples"
        assert [(row.batch, row.height, row.width) for row in certificate.comparisons] == [
            (2, 32, 48),
            (1, 24, 24),
            (6, 25, 29),
            (1, 256, 24),
            (1, 24, 256),
        ]
        assert [row.traced for row in certificate.comparisons] == [True, False, False, False, False]
        assert max(comparison.relative_error for comparison in certificate.comparisons) < 1e-5
    assert scores.reference.startswith("PyTorch")
    assert attention.reference.startswith("attention maps")


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("network.stem.0.weight", "stem.0 + stem.1"),  # the exporter folds BatchNorm into the convolution
        ("network.gate.squeeze.weight", "gate.squeeze"),
        ("network.gate.excite.bias", "gate.excite"),
        ("network.classifier.weight", "classifier"),
    ],
)
@pytest.mark.parametrize("fault", [one_wrong_weight, one_nan])
def test_a_planted_fault_is_caught_and_its_layer_named(
    exported: Exported,
    draft: Path,
    images: list[Pixels],
    tensor: str,
    layer: str,
    fault: Callable[[np.ndarray], np.ndarray],
) -> None:
    change(draft, tensor, fault)
    error = failure(exported, draft, images)
    assert not error.certificates[0].passed
    assert departing_layer(exported, draft, images, error) == layer


def test_a_wrong_normalization_is_caught(exported: Exported, draft: Path, images: list[Pixels]) -> None:
    change(draft, "normalize.shift", one_wrong_weight)
    assert "departs from PyTorch" in str(failure(exported, draft, images))


def test_the_served_answer_is_compared_apart_from_the_scores(
    exported: Exported, draft: Path, images: list[Pixels]
) -> None:
    model = onnx.load(draft)
    node = next(node for node in model.graph.node if node.op_type == "ArgMax")
    flipped = onnx.helper.make_node("Neg", [node.input[0]], ["flipped"])
    arg_min = onnx.helper.make_node("ArgMax", ["flipped"], list(node.output), axis=1, keepdims=0)
    position = list(model.graph.node).index(node)
    model.graph.node.remove(node)
    model.graph.node.insert(position, arg_min)
    model.graph.node.insert(position, flipped)
    onnx.save(model, draft)
    error = failure(exported, draft, images)
    assert error.certificates[0].comparisons[0].agreement < 0.5


def test_a_wrong_attention_map_is_caught_though_the_answer_is_right(
    exported: Exported, draft: Path, images: list[Pixels]
) -> None:
    model = onnx.load(draft)
    for node in model.graph.node:
        for values in (node.input, node.output):
            for index, name in enumerate(values):
                if name == "attention_gate":
                    values[index] = "inner"
    model.graph.node.append(onnx.helper.make_node("Neg", ["inner"], ["attention_gate"]))
    onnx.save(model, draft)
    error = failure(exported, draft, images)
    scores, attention = error.certificates
    assert scores.passed
    assert not attention.passed
    assert "attention maps" in str(error)


def test_a_graph_that_stops_at_a_shape_is_caught(
    exported: Exported, draft: Path, images: list[Pixels]
) -> None:
    model = onnx.load(draft)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2  # the traced batch, baked in
    onnx.save(model, draft)
    error = failure(exported, draft, images)
    assert error.shape.batch == 1
    assert "stops at batch 1" in str(error)


def test_the_layer_where_a_graph_stops_is_named(
    exported: Exported, draft: Path, images: list[Pixels]
) -> None:
    model = onnx.load(draft)
    last = next(node for node in model.graph.node if node.output[0] == "attention_gate")
    product = next(node for node in model.graph.node if "attention_gate" in node.input)
    baked = onnx.helper.make_node(
        "Reshape", ["attention_gate", "traced_shape"], ["baked"], name="baked_reshape"
    )
    baked.metadata_props.extend(last.metadata_props)
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 8, 1, 1]), "traced_shape"))
    product.input[list(product.input).index("attention_gate")] = "baked"
    model.graph.node.insert(list(model.graph.node).index(product), baked)
    onnx.save(model, draft)
    error = failure(exported, draft, images)
    assert "stops at batch 1" in str(error)
    assert departing_layer(exported, draft, images, error) == "gate"


def test_what_is_no_graph_is_refused(exported: Exported, draft: Path, images: list[Pixels]) -> None:
    model = onnx.load(draft)
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, draft)
    with pytest.raises(ExportError, match="does not take the graph"):
        served_graph_runner(draft, exported.card)


def test_a_graph_without_faults_departs_nowhere(exported: Exported, noise: Pixels) -> None:
    assert first_departure(exported.network, exported.card, exported.artifact.model, {IMAGE: noise}) is None
