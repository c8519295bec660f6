"""Models of every layout, type and opset in the frame of the served graph: held against themselves."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper
from tests.export.given_models import CONVOLVED, POOLED, WEIGHT, K, classifier, node, segmenter, write

from regard.contract.names import MODEL_FILE
from regard.contract.preprocess import Pixels
from regard.export.graph import opset
from regard.export.onnx_import import Imported, import_onnx

SMALLER = [node("Conv", ["x", "weight"], "scores", pads=[1, 1, 1, 1], strides=[2, 2])]


def served(imported: Imported) -> ModelProto:
    """The graph, whole and proven."""
    assert max(row.relative_error for row in imported.artifact.card.certificates[0].comparisons) < 1e-5
    model = onnx.load(imported.artifact.folder / MODEL_FILE)
    onnx.checker.check_model(model, full_check=True)
    return model


def test_channels_last_on_both_sides_and_a_smaller_answer(tmp_path: Path, images: list[Pixels]) -> None:
    nodes = [
        node("Transpose", ["x"], "first", perm=[0, 3, 1, 2]),
        node("Conv", ["first", "weight"], "y", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Transpose", ["y"], "scores", perm=[0, 2, 3, 1]),
    ]
    path = write(tmp_path / "given.onnx", nodes, image=["n", "h", "w", 3])
    served(import_onnx(path, segmenter(), tmp_path / "out", images=images))


def test_a_size_that_is_fixed(tmp_path: Path, images: list[Pixels]) -> None:
    card = segmenter().updated(inputs=[{"kind": "image", "height": 16, "width": 24, "resize": "stretch"}])
    path = write(tmp_path / "given.onnx", SMALLER, image=["n", 3, 16, 24])
    graph = served(import_onnx(path, card, tmp_path / "out", images=images)).graph
    assert [dim.dim_value for dim in graph.output[0].type.tensor_type.shape.dim] == [0, 16, 24]


def test_axes_of_length_one_behind_the_classes(tmp_path: Path, images: list[Pixels]) -> None:
    path = write(tmp_path / "given.onnx", [*CONVOLVED, node("GlobalAveragePool", ["features"], "scores")])
    graph = served(import_onnx(path, classifier(), tmp_path / "out", images=images)).graph
    assert [dim.dim_value for dim in graph.output[0].type.tensor_type.shape.dim] == [0, K]


@pytest.mark.parametrize("version", [15, 21])
def test_an_opset_that_is_kept_is_that_of_the_whole_graph(
    version: int, tmp_path: Path, images: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resizing is what changed most from one opset to the next."""

    def refuse(model: ModelProto, version: int) -> ModelProto:
        raise RuntimeError("no adapter")

    monkeypatch.setattr(opset, "version_converter", SimpleNamespace(convert_version=refuse))
    path = write(tmp_path / "given.onnx", SMALLER, opset=version)
    imported = import_onnx(path, segmenter(), tmp_path / "out", images=images)
    assert f"opset {version} is kept" in imported.notes[0]
    assert [entry.version for entry in served(imported).opset_import] == [version]


@pytest.mark.parametrize("version", [17, 20])
def test_functions_of_the_models_own(version: int, tmp_path: Path, images: list[Pixels]) -> None:
    path = write(tmp_path / "given.onnx", POOLED, opset=version)
    model = onnx.load(path)
    twice = helper.make_node("Add", ["x", "x"], ["y"], doc_string="/home/somebody/model.py")
    opsets = [helper.make_opsetid("", version)]
    model.functions.append(helper.make_function("own", "Twice", ["x"], ["y"], [twice], opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node[-1].output[0] = "once"
    model.graph.node.append(helper.make_node("Twice", ["once"], ["scores"], domain="own"))
    onnx.save(model, path)
    imported = import_onnx(path, classifier(), tmp_path / "out", images=images)
    assert b"somebody" not in served(imported).SerializeToString()


def test_constants_that_are_inputs_as_well(tmp_path: Path, images: list[Pixels]) -> None:
    """As before version 4 of the format."""
    path = write(tmp_path / "given.onnx", POOLED)
    model = onnx.load(path)
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, WEIGHT.shape))
    onnx.save(model, path)
    graph = served(import_onnx(path, classifier(), tmp_path / "out", images=images)).graph
    assert [value.name for value in graph.input] == ["image"]


def test_branches_inside(tmp_path: Path, images: list[Pixels]) -> None:
    def branch(operator: str) -> onnx.GraphProto:
        result = helper.make_tensor_value_info(operator, TensorProto.FLOAT, None)
        return helper.make_graph([node(operator, ["flat"], operator)], operator, [], [result])

    nodes = [
        *POOLED[:-1],
        node("Flatten", ["pooled"], "flat"),
        node("ReduceMax", ["flat"], "largest", keepdims=0),
        node("Greater", ["largest", "zero"], "positive"),
        node("If", ["positive"], "scores", then_branch=branch("Identity"), else_branch=branch("Neg")),
    ]
    constants: dict[str, Any] = {"zero": np.float32(0)}
    path = write(tmp_path / "given.onnx", nodes, constants=constants)
    served(import_onnx(path, classifier(), tmp_path / "out", images=images))
